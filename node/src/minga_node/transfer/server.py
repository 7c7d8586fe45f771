"""The piece listener: HTTP/1.1 ranges by ``sendfile``, one thread for all connections.

Here is what concerns connections; who is answered when is decided in :mod:`minga_node.transfer.answering`.
"""

from __future__ import annotations

import contextlib
import logging
import select
import socket
import threading
import time

from minga_node.peer_tls import PeerTls
from minga_node.transfer import flight
from minga_node.transfer.answering import Answering
from minga_node.transfer.limiter import TokenBucket
from minga_node.transfer.requests import Asked, heads
from minga_node.transfer.secure import HANDSHAKE_SECONDS, Door
from minga_node.transfer.shelf import Shelf
from minga_node.transfer.uploads import Connection, Contents, Gossip, OpenContent

__all__ = ["Contents", "Gossip", "OpenContent", "PieceServer"]

log = logging.getLogger(__name__)

SLOTS = 8
QUEUE = 512
CONNECTIONS = 2048
GONE = 30.0
IDLE = 120.0
TICK = 0.05
PIPELINE = 128
"""Requests of one connection that are read before the first is answered."""


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
        gossip: Gossip | None = None,
        tls: PeerTls | None = None,
    ) -> None:
        self._gossip = gossip
        self._door = Door(tls)
        family = socket.AF_INET6 if ":" in bind else socket.AF_INET
        self._listener = socket.create_server((bind, port), family=family, backlog=512, reuse_port=False)
        self._listener.setblocking(False)
        self.port: int = self._listener.getsockname()[1]
        self._epoll = select.epoll()
        self._wake_read, self._wake_write = socket.socketpair()
        self._connections: dict[int, Connection] = {}
        self._shelf = Shelf(contents)
        self._answering = Answering(
            self._shelf,
            slots=slots,
            queue=queue,
            limiter=limiter or TokenBucket(0),
            gossip=gossip,
            want=self._want,
            drop=self._drop,
        )
        self._stop_at: float | None = None
        self._next_sweep = 0.0
        self._thread = threading.Thread(target=self._run, name="pieces", daemon=True)

    def start(self) -> None:
        self._epoll.register(self._listener.fileno(), select.EPOLLIN)
        self._epoll.register(self._wake_read.fileno(), select.EPOLLIN)
        self._thread.start()

    def stop(self, timeout: float = 5.0) -> None:
        """Accepts nothing more, lets running answers end for at most ``timeout`` seconds."""
        self._stop_at = time.monotonic() + timeout
        if self._thread.is_alive():
            with contextlib.suppress(OSError):  # it has just ended
                self._wake_write.send(b"x")
            self._thread.join(timeout + 5)
        else:
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

    # the loop

    def _run(self) -> None:
        try:
            while not self._ended():
                longest = TICK if self.uploads or self._stop_at else 1.0
                for descriptor, event in self._epoll.poll(self._answering.patience(longest)):
                    self._event(descriptor, event)
                now = time.monotonic()
                self._answering.go_on(now)
                if now >= self._next_sweep:
                    self._sweep(now)
        except Exception:
            log.exception("the piece listener ended")
            raise
        finally:
            self._close_all()

    def _ended(self) -> bool:
        if self._stop_at is None:
            return False
        if self._listener.fileno() >= 0:
            self._epoll.unregister(self._listener.fileno())
            self._listener.close()
        return not self.uploads or time.monotonic() >= self._stop_at

    def _event(self, descriptor: int, event: int) -> None:
        connection = self._connections.get(descriptor)
        if connection is None:
            if descriptor == self._wake_read.fileno():
                self._wake_read.recv(64)
            elif descriptor == self._listener.fileno():
                self._accept()
            return
        try:
            if event & (select.EPOLLHUP | select.EPOLLERR):
                self._drop(connection)
                return
            if connection.shaking:
                self._want(connection, self._door.admit(connection))
                return
            if event & select.EPOLLOUT:
                self._answering.advance(connection, time.monotonic())
            if event & select.EPOLLIN and descriptor in self._connections:
                self._readable(connection)
        except OSError:
            self._drop(connection)
        except Exception:
            log.exception("a connection to the piece listener ended")
            self._drop(connection)

    def _accept(self) -> None:
        while True:
            try:
                sock, address = self._listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                log.warning("cannot accept a connection: %s", error)
                return
            if len(self._connections) >= CONNECTIONS:
                sock.close()
                continue
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                bound = flight.bound(sock)
                connection = self._door.open(sock, str(address[0]))
            except OSError:  # it has gone already
                sock.close()
                continue
            connection.bound = bound
            connection.last_progress = time.monotonic()
            descriptor = connection.sock.fileno()
            self._connections[descriptor] = connection
            connection.events = select.EPOLLIN
            self._epoll.register(descriptor, select.EPOLLIN)

    def _want(self, connection: Connection, events: int) -> None:
        if connection.events != events:
            connection.events = events
            self._epoll.modify(connection.sock.fileno(), events)

    def _drop(self, connection: Connection) -> None:
        descriptor = connection.sock.fileno()
        if self._connections.pop(descriptor, None) is None:
            return
        self._answering.forget(connection)
        connection.span.set({"minga.bytes": connection.sent})
        connection.span.end()
        self._epoll.unregister(descriptor)
        connection.sock.close()

    def _close_all(self) -> None:
        for connection in list(self._connections.values()):
            self._drop(connection)
        self._shelf.close()
        self._listener.close()
        self._wake_read.close()
        self._wake_write.close()
        self._epoll.close()

    def _sweep(self, now: float) -> None:
        self._next_sweep = now + 1.0
        for connection in list(self._connections.values()):
            patience = GONE if connection.sending else IDLE
            if connection.shaking:
                patience = HANDSHAKE_SECONDS
            queued = connection.request is not None and not connection.sending
            if not queued and now - connection.last_progress > patience:
                if connection.shaking:
                    self._door.late(connection)
                self._drop(connection)
        self._answering.send_away_overdue(now)
        self._shelf.sweep(now)

    def _readable(self, connection: Connection) -> None:
        """Takes in what came. What a peer says it has counts at once, though its request may have to wait."""
        try:
            data = connection.receive()
        except BlockingIOError:
            return
        if not data:
            if connection.sending:
                # It may only have ended its own side, and still read.
                connection.closing = True
                self._want(connection, connection.events & ~select.EPOLLIN)
            else:
                self._drop(connection)
            return
        connection.read += data
        connection.last_progress = time.monotonic()
        for asked in heads(connection.read):
            connection.asked.append(asked)
            if isinstance(asked, Asked) and asked.peer and asked.have and self._gossip:
                self._gossip.heard(asked.content_id, asked.peer, asked.have)
        self._answering.read(connection)
        if len(connection.asked) > PIPELINE:
            # It asks faster than it is answered: listen again when it is.
            self._want(connection, connection.events & ~select.EPOLLIN)
