"""The piece listener: HTTP/1.1 ranges by ``sendfile``, one thread for all connections.

Here is what concerns connections: who is let in, for how long, and that what goes wrong on one of them
ends that one. What is asked on them is understood in :mod:`minga_node.uploads.request_reader`; who is
answered when is decided in :mod:`minga_node.uploads.scheduler`. Nothing that may block is done on this
thread.
"""

from __future__ import annotations

import contextlib
import logging
import select
import socket
import time
from collections.abc import Callable

from minga_node import descriptors
from minga_node.metrics import PIECE_CONNECTIONS_ENDED, WORKER_FAILURES
from minga_node.peer_tls import PeerTls
from minga_node.uploads import send_buffer
from minga_node.uploads.acceptor import Acceptor
from minga_node.uploads.blocking import BlockingCalls
from minga_node.uploads.connection import AvailabilityExchange, Contents, OpenContent, UploadConnection
from minga_node.uploads.connection_limits import ConnectionLimits, party
from minga_node.uploads.open_contents import OpenContents
from minga_node.uploads.request_reader import RequestReader
from minga_node.uploads.scheduler import UploadScheduler
from minga_node.uploads.tls import HANDSHAKE_SECONDS, Door
from minga_node.wire.rate_limit import TokenBucket
from minga_node.workers import Loop

__all__ = ["AvailabilityExchange", "Contents", "OpenContent", "PieceServer"]

log = logging.getLogger(__name__)

SLOTS = 8
QUEUE = 512
CONNECTIONS = 2048
SHARE = 4
"""Connections take a quarter of the descriptors at most."""
FIRST_SECONDS = 30.0
"""In which a connection must have asked something."""
STUCK = 10.0
"""Seconds of one turn after which the listener counts as dead."""
SAY_SECONDS = 60.0
"""Faults of the listener itself are logged once in so long."""
ROUNDS = 16
"""Small answers of one connection that may go in one turn."""
TICK = 0.05


class PieceServer:
    """Serves ``GET /pieces/{id}`` from ``contents``.

    Args:
        bind: address to listen on.
        port: 0 for any free one; see :attr:`port`.
        slots: answers under way at a time, not counting those whose receiver has stalled.
        queue: requests that may wait for a slot.
        limiter: limit on bytes out.
        tls: where peers meet each other by TLS alone.
        gossip: told of, and asked for, availability in ``Minga-Have`` headers.

    Raises:
        OSError: the port is taken.
    """

    def __init__(
        self,
        bind: str,
        port: int,
        contents: Contents,
        *,
        slots: int = SLOTS,
        queue: int = QUEUE,
        limiter: TokenBucket | None = None,
        gossip: AvailabilityExchange | None = None,
        tls: PeerTls | None = None,
    ) -> None:
        self._door = Door(tls)
        self._epoll = select.epoll()
        try:
            self._accepting = Acceptor(bind, port, self._epoll, "piece listener")
        except OSError:
            self._epoll.close()
            raise
        self.port = self._accepting.port
        self._wake_read, self._wake_write = socket.socketpair()
        for end in (self._wake_read, self._wake_write):
            end.setblocking(False)
        self._by_descriptor: dict[int, UploadConnection] = {}
        most = max(16, min(CONNECTIONS, descriptors.limit() // SHARE))
        self._connections: ConnectionLimits[UploadConnection] = ConnectionLimits(most, most // 2)
        self._blocking = BlockingCalls(self._wake, "piece files")
        self._loading = BlockingCalls(self._wake, "piece pages", slots)
        self._shelf = OpenContents(contents, self._blocking)
        self._answering = UploadScheduler(
            self._shelf,
            self._loading,
            slots=slots,
            queue=queue,
            limiter=limiter or TokenBucket(0),
            gossip=gossip,
            connections=self._connections,
            want=self._want,
            drop=self._drop,
            attempt=self._attempt,
            answered=lambda connection: self._intake.answered(connection),
        )
        self._intake = RequestReader(
            self._shelf,
            self._answering,
            self._blocking,
            gossip=gossip,
            want=self._want,
            drop=self._drop,
            attempt=self._attempt,
        )
        self._stop_at: float | None = None
        self._next_sweep = 0.0
        self._say_after = 0.0
        self.worker = Loop("piece listener", self._run, stuck_after=STUCK)

    def start(self) -> None:
        self._accepting.start()
        self._epoll.register(self._wake_read.fileno(), select.EPOLLIN)
        self.worker.start()

    def stop(self, timeout: float = 5.0) -> None:
        """Accepts nothing more, lets running answers end for at most ``timeout`` seconds."""
        self._stop_at = time.monotonic() + timeout
        alive = self.worker.alive
        self._wake()
        self.worker.stop(timeout + 5)
        if not alive:
            self._close_all()

    @property
    def uploads(self) -> int:
        """Answers under way."""
        return self._answering.uploads

    @property
    def waiting(self) -> int:
        """Requests that wait for a slot."""
        return self._answering.waiting

    @property
    def refusals(self) -> int:
        """Requests that were sent away so far, since they would have waited too long."""
        return self._answering.refusals

    @property
    def connections(self) -> int:
        """How many there are."""
        return len(self._connections)

    # the loop

    def _run(self) -> None:
        try:
            while not self._ended():
                try:
                    self._take_turn()
                except Exception:
                    # What concerns one connection never gets here.
                    WORKER_FAILURES.labels(self.worker.name).inc()
                    if time.monotonic() > self._say_after:
                        self._say_after = time.monotonic() + SAY_SECONDS
                        log.exception("the piece listener goes on after a fault")
                    time.sleep(TICK)
        finally:
            self._close_all()

    def _take_turn(self) -> None:
        longest = TICK if self.uploads or self._stop_at else 1.0
        wait = 0.0 if self._intake.pending else self._answering.patience(longest)
        events = self._epoll.poll(wait)
        self.worker.beat()
        for descriptor, event in events:
            self._event(descriptor, event)
        self._blocking.deliver()
        self._loading.deliver()
        now = time.monotonic()
        for _ in range(ROUNDS):
            self._intake.go_on()
            self._answering.go_on(now)
            if not self._intake.pending:
                break
        self._accepting.look(now)
        if now >= self._next_sweep:
            self._sweep(now)

    def _wake(self) -> None:
        with contextlib.suppress(OSError):  # it is awake, or has ended
            self._wake_write.send(b"x")

    def _ended(self) -> bool:
        if self._stop_at is None:
            return False
        self._accepting.close()
        return not self.uploads or time.monotonic() >= self._stop_at

    def _event(self, descriptor: int, event: int) -> None:
        connection = self._by_descriptor.get(descriptor)
        if connection is not None:
            self._attempt(connection, self._happened, connection, event)
        elif descriptor == self._wake_read.fileno():
            with contextlib.suppress(BlockingIOError):
                self._wake_read.recv(4096)
        elif descriptor == self._accepting.fileno():
            for sock, address in self._accepting.accept():
                self._let_in(sock, address)

    def _attempt(self, connection: UploadConnection, work: Callable[..., None], *args: object) -> None:
        """Does something for a connection; what goes wrong ends this one."""
        try:
            work(*args)
        except OSError:
            self._drop(connection)
        except Exception:
            log.exception("a connection to the piece listener ended")
            self._drop(connection)

    def _happened(self, connection: UploadConnection, event: int) -> None:
        if event & (select.EPOLLHUP | select.EPOLLERR):
            self._drop(connection)
            return
        if connection.shaking:
            self._shake(connection)
            return
        if event & select.EPOLLOUT:
            self._answering.advance(connection, time.monotonic())
        if event & select.EPOLLIN and connection.sock.fileno() >= 0:
            self._intake.readable(connection)

    def _shake(self, connection: UploadConnection) -> None:
        self._want(connection, self._door.admit(connection))
        if not connection.shaking:
            connection.until = time.monotonic() + FIRST_SECONDS

    # connections

    def _let_in(self, sock: socket.socket, address: str) -> None:
        whose = party(address)
        if self._connections.full_for(whose):
            other = self._connections.least_useful(whose)
            if other is None:
                PIECE_CONNECTIONS_ENDED.labels("full").inc()
                sock.close()
                return
            PIECE_CONNECTIONS_ENDED.labels("displaced").inc()
            self._drop(other)
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            bound = send_buffer.bound(sock)
            connection = self._door.open(sock, address)
        except OSError:  # it has gone already
            sock.close()
            return
        connection.bound = bound
        now = connection.last_progress = time.monotonic()
        connection.until = now + (HANDSHAKE_SECONDS if connection.shaking else FIRST_SECONDS)
        connection.events = select.EPOLLIN
        descriptor = connection.sock.fileno()
        try:
            self._epoll.register(descriptor, select.EPOLLIN)
        except OSError:
            connection.sock.close()
            return
        self._by_descriptor[descriptor] = connection
        self._connections.add(connection, whose)

    def _want(self, connection: UploadConnection, events: int) -> None:
        if connection.events != events:
            connection.events = events
            self._epoll.modify(connection.sock.fileno(), events)

    def _drop(self, connection: UploadConnection) -> None:
        descriptor = connection.sock.fileno()
        if self._by_descriptor.pop(descriptor, None) is None:
            return
        self._connections.remove(connection)
        try:
            self._answering.forget(connection)
            connection.span.set({"minga.bytes": connection.sent})
            connection.span.end()
        finally:
            with contextlib.suppress(OSError):
                self._epoll.unregister(descriptor)
            connection.sock.close()

    def _close_all(self) -> None:
        for connection in list(self._by_descriptor.values()):
            self._drop(connection)
        self._blocking.close()
        self._loading.close()
        self._shelf.close()
        self._accepting.close()
        self._wake_read.close()
        self._wake_write.close()
        self._epoll.close()

    def _sweep(self, now: float) -> None:
        self._next_sweep = now + 1.0
        for connection in list(self._by_descriptor.values()):
            if now <= connection.until or (connection.busy and not connection.sending):
                continue
            if connection.shaking:
                self._door.late(connection)
            PIECE_CONNECTIONS_ENDED.labels(_late_for(connection)).inc()
            self._drop(connection)
        self._answering.send_away_overdue(now)
        self._shelf.sweep(now)
        self._blocking.run(self._door.renew)


def _late_for(connection: UploadConnection) -> str:
    """What a connection has taken too long for."""
    if connection.shaking:
        return "handshake"
    if connection.sending:
        return "disk" if connection.loading else "unread"
    return "head" if connection.read else "idle"
