"""The piece listener: HTTP/1.1 ranges by ``sendfile``, one thread for all connections.

A bounded number of requests is answered at a time (slots), the others wait in a fair queue, and beyond its
bound they hear 503 with Retry-After. Few slots make the first copy of a piece arrive early, to be passed on.
"""

from __future__ import annotations

import contextlib
import logging
import select
import socket
import threading
import time
from collections import deque
from collections.abc import Sequence

from minga_node import metrics, tracing
from minga_node.errors import BadRequest, RangeNotSatisfiable
from minga_node.swarm import FairQueue
from minga_node.transfer import http
from minga_node.transfer.answers import Answer, answer, refusal, unsatisfiable
from minga_node.transfer.limiter import TokenBucket
from minga_node.transfer.requests import Asked, Refusal, heads
from minga_node.transfer.shelf import Shelf
from minga_node.transfer.uploads import (
    Connection,
    Contents,
    Gossip,
    OpenContent,
    Request,
    pieces_of,
)

__all__ = ["Contents", "Gossip", "OpenContent", "PieceServer"]

log = logging.getLogger(__name__)

SLOTS = 8
QUEUE = 512
CONNECTIONS = 2048
QUANTUM = 1024 * 1024
SMALLEST_WRITE = 16 * 1024
UNSENT = 128 * 1024
"""TCP_NOTSENT_LOWAT: what may wait in a socket beyond what is on its way, bytes."""
STALLED = 0.2
"""Seconds without progress after which a transfer no longer counts as using a slot."""
GONE = 30.0
IDLE = 120.0
TICK = 0.05
PIPELINE = 128
"""Requests of one connection that are read before the first is answered."""
OUT = {kind: metrics.BYTES.labels("out", kind) for kind in ("peer", "client")}


class PieceServer:
    """Serves ``GET /pieces/{id}`` from ``contents``.

    Args:
        bind: address to listen on.
        port: 0 for any free one; see :attr:`port`.
        slots: answers under way at a time, not counting those whose receiver has stalled.
        queue: requests that may wait for a slot.
        limiter: limit on bytes out.
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
    ) -> None:
        self._slots, self._most_queued = slots, queue
        self._limiter = limiter or TokenBucket(0)
        self._gossip = gossip
        family = socket.AF_INET6 if ":" in bind else socket.AF_INET
        self._listener = socket.create_server((bind, port), family=family, backlog=512, reuse_port=False)
        self._listener.setblocking(False)
        self.port: int = self._listener.getsockname()[1]
        self._epoll = select.epoll()
        self._wake_read, self._wake_write = socket.socketpair()
        self._connections: dict[int, Connection] = {}
        self._shelf = Shelf(contents)
        self._queue: FairQueue[Connection] = FairQueue()
        self._sending: dict[int, Connection] = {}
        self._limited: deque[Connection] = deque()
        self._answered: deque[Connection] = deque()
        self._service_seconds = 0.05
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
        return len(self._sending)

    @property
    def waiting(self) -> int:
        """Requests that wait for a slot."""
        return len(self._queue)

    # the loop

    def _run(self) -> None:
        try:
            while not self._ended():
                timeout = TICK if self._sending or self._limited or self._stop_at else 1.0
                if self._limited:
                    timeout = min(timeout, max(0.001, self._limiter.delay()))
                if self._answered:
                    timeout = 0
                for descriptor, event in self._epoll.poll(timeout):
                    self._event(descriptor, event)
                now = time.monotonic()
                for _ in range(len(self._answered)):
                    connection = self._answered.popleft()
                    if connection.sock.fileno() >= 0:
                        self._next_request(connection)
                for _ in range(len(self._limited)):
                    self._advance(self._limited.popleft(), now)
                self._fill_slots(now)
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
        return not self._sending or time.monotonic() >= self._stop_at

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
            if event & select.EPOLLOUT:
                self._advance(connection, time.monotonic())
            if event & select.EPOLLIN and descriptor in self._connections:
                self._readable(connection)
        except OSError:
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
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT)
            connection = Connection(sock, str(address[0]), last_progress=time.monotonic())
            self._connections[sock.fileno()] = connection
            connection.events = select.EPOLLIN
            self._epoll.register(sock.fileno(), select.EPOLLIN)

    def _want(self, connection: Connection, events: int) -> None:
        if connection.events != events:
            connection.events = events
            self._epoll.modify(connection.sock.fileno(), events)

    def _drop(self, connection: Connection) -> None:
        descriptor = connection.sock.fileno()
        if self._connections.pop(descriptor, None) is None:
            return
        if connection.request is not None and not connection.sending:
            self._queue.discard(connection.party, connection)
        self._sending.pop(descriptor, None)
        if connection in self._limited:
            self._limited.remove(connection)
        self._release(connection)
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
            queued = connection.request is not None and not connection.sending
            if not queued and now - connection.last_progress > patience:
                self._drop(connection)
        self._shelf.sweep(now)

    # requests

    def _readable(self, connection: Connection) -> None:
        """Takes in what came. What a peer says it has counts at once, though its request may have to wait."""
        try:
            data = connection.sock.recv(16 * 1024)
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
        if connection.request is None and not connection.sending and connection not in self._answered:
            self._next_request(connection)
        elif len(connection.asked) > PIPELINE:
            # It asks faster than it is answered: listen again when it is.
            self._want(connection, connection.events & ~select.EPOLLIN)

    def _next_request(self, connection: Connection) -> None:
        """Looks at what was asked next; ends with it in the queue, an answer on its way, or nothing to do."""
        self._want(connection, select.EPOLLIN)
        if not connection.asked:
            return
        asked = connection.asked.popleft()
        if isinstance(asked, Refusal):
            said = refusal(asked.status, asked.text, allow=asked.allow)
            self._say(connection, said, closing=asked.closing)
            return
        connection.closing = connection.closing or asked.closing
        served = self._shelf.open(asked.content_id) if asked.content_id else None
        if served is None:
            self._say(connection, refusal("404 Not Found", "this content is not here"))
            return
        try:
            ranges = http.parse_ranges(asked.range, served.content.size) if asked.range else []
        except BadRequest as error:
            self._say(connection, refusal("400 Bad Request", str(error)), closing=True)
            return
        except RangeNotSatisfiable as error:
            self._say(connection, unsatisfiable(error.size))
            return
        if asked.traceparent and connection.span is tracing.NOTHING:
            attributes = {"minga.peer": asked.peer, "minga.content.id": asked.content_id}
            connection.span = tracing.span("serve pieces", "server", attributes, parent=asked.traceparent)
        if len(self._queue) >= self._most_queued:
            wait = max(1, round(len(self._queue) / self._slots * self._service_seconds))
            full = refusal("503 Service Unavailable", "all upload slots are taken", retry_after=wait)
            self._say(connection, full)
            return
        connection.request = Request(served, ranges, asked.head_only, asked.peer)
        self._shelf.take(served)
        self._queue.add(connection.party, connection)

    def _say(self, connection: Connection, said: Answer, *, closing: bool = False) -> None:
        """Answers without a slot."""
        connection.closing = connection.closing or closing
        self._send(connection, said, time.monotonic())

    # answers

    def _fill_slots(self, now: float) -> None:
        while self._queue and len(self._sending) < 4 * self._slots:
            busy = sum(now - connection.last_progress < STALLED for connection in self._sending.values())
            if busy >= self._slots:
                return
            connection = self._queue.take()
            try:
                self._begin(connection, now)
            except OSError:
                self._drop(connection)

    def _begin(self, connection: Connection, now: float) -> None:
        """A queued request has its slot."""
        request = connection.request
        assert request is not None
        served = request.served
        gossip = self._gossip if request.peer else None
        said = answer(request, gossip.has(served.id, request.peer) if gossip and request.ranges else 0)
        if said.end == said.start and not request.head_only and served.content.size:
            self._release(connection)
            self._send(connection, said, now)
            return
        news = gossip.news(served.id, request.peer) if gossip else 0
        for piece in pieces_of(said.start, said.end, served.piece_size):
            served.sent[piece] += 1
        self._send(connection, said, now, [("Minga-Have", http.format_pieces(news))] if news else [])

    def _send(
        self, connection: Connection, said: Answer, now: float, more: Sequence[tuple[str, str]] = ()
    ) -> None:
        connection.pending = said.head([*more, *([("Connection", "close")] if connection.closing else [])])
        connection.offset, connection.end, connection.body = said.start, said.end, said.end - said.start
        connection.sending = True
        connection.last_progress = connection.begun = now
        self._sending[connection.sock.fileno()] = connection
        self._advance(connection, now)

    def _advance(self, connection: Connection, now: float) -> None:
        """Sends what can be sent now."""
        if not connection.sending:
            return
        most = min(QUANTUM, self._limiter.available())
        if most < SMALLEST_WRITE and connection.offset < connection.end:
            self._want(connection, connection.events & select.EPOLLIN)
            self._limited.append(connection)
            return
        try:
            count = connection.send(most)
        except OSError:
            self._drop(connection)
            return
        if count:
            self._limiter.take(count)
            connection.last_progress = now
        if not connection.done:
            self._want(connection, select.EPOLLOUT | (connection.events & select.EPOLLIN))
            return
        del self._sending[connection.sock.fileno()]
        connection.sending = False
        connection.last_progress = now
        if connection.request is not None:
            OUT["peer" if connection.request.peer else "client"].inc(connection.body)
            connection.sent += connection.body
            self._queue.charge(connection.party, now - connection.begun)
        self._release(connection)
        if connection.closing:
            self._drop(connection)
        else:
            # Not from here: a long pipeline of requests must not become a deep recursion.
            self._answered.append(connection)

    def _release(self, connection: Connection) -> None:
        request, connection.request = connection.request, None
        if request is not None:
            self._shelf.give_back(request.served)
