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

from minga_node import metrics, tracing
from minga_node.errors import BadRequest, RangeNotSatisfiable
from minga_node.manifest import piece_size
from minga_node.swarm import FairQueue, least_sent, still_wanted
from minga_node.transfer import http
from minga_node.transfer.limiter import TokenBucket
from minga_node.transfer.uploads import (
    Connection,
    Contents,
    Gossip,
    OpenContent,
    Request,
    Served,
    pieces_of,
    servable,
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
KEPT_OPEN = 5.0
MOST_KEPT_OPEN = 64
"""Contents that stay open without a reader: many small ones would use up the descriptors."""
TICK = 0.05
OUT = {kind: metrics.BYTES.labels("out", kind) for kind in ("peer", "client")}
ID_DIGITS = frozenset("0123456789abcdef")


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
        self._contents, self._slots, self._most_queued = contents, slots, queue
        self._limiter = limiter or TokenBucket(0)
        self._gossip = gossip
        family = socket.AF_INET6 if ":" in bind else socket.AF_INET
        self._listener = socket.create_server((bind, port), family=family, backlog=512, reuse_port=False)
        self._listener.setblocking(False)
        self.port: int = self._listener.getsockname()[1]
        self._epoll = select.epoll()
        self._wake_read, self._wake_write = socket.socketpair()
        self._connections: dict[int, Connection] = {}
        self._served: dict[str, Served] = {}
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
            if event & select.EPOLLIN:
                self._readable(connection)
            elif event & (select.EPOLLHUP | select.EPOLLERR):
                self._drop(connection)
            elif event & select.EPOLLOUT:
                self._advance(connection, time.monotonic())
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
        for served in self._served.values():
            served.content.close()
        self._served.clear()
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
        for content_id, served in list(self._served.items()):
            if not served.users and now - served.idle_since > KEPT_OPEN:
                del self._served[content_id]
                served.content.close()

    # requests

    def _readable(self, connection: Connection) -> None:
        try:
            data = connection.sock.recv(16 * 1024)
        except BlockingIOError:
            return
        if not data:
            self._drop(connection)
            return
        connection.read += data
        connection.last_progress = time.monotonic()
        if connection.request is None and not connection.sending and connection not in self._answered:
            self._next_request(connection)
        elif len(connection.read) > http.LARGEST_HEAD:
            # It sends faster than it is answered: listen again when it is.
            self._want(connection, connection.events & ~select.EPOLLIN)

    def _next_request(self, connection: Connection) -> None:
        """Looks at what was read; ends with a request in the queue, an answer on its way, or nothing to
        do.
        """
        end = connection.read.find(b"\r\n\r\n")
        if max(end, len(connection.read) if end < 0 else 0) > http.LARGEST_HEAD:
            self._answer(connection, "431 Request Header Fields Too Large", closing=True)
            return
        if end < 0:
            self._want(connection, select.EPOLLIN)
            return
        head = bytes(connection.read[:end])
        del connection.read[: end + 4]
        try:
            request = self._understand(connection, http.parse_head(head))
        except BadRequest as error:
            self._answer(connection, "400 Bad Request", str(error), closing=True)
            return
        except RangeNotSatisfiable as error:
            self._unsatisfiable(connection, error.size)
            return
        if request is None:
            return
        if len(self._queue) >= self._most_queued:
            wait = max(1, round(len(self._queue) / self._slots * self._service_seconds))
            self._answer(
                connection, "503 Service Unavailable", "all upload slots are taken", retry_after=wait
            )
            return
        connection.request = request
        request.served.users += 1
        self._queue.add(connection.party, connection)
        self._want(connection, select.EPOLLIN)

    def _understand(self, connection: Connection, head: http.Head) -> Request | None:
        method, target, version = head.start
        fields = head.fields
        if not version.startswith("HTTP/1."):
            raise BadRequest("only HTTP/1.1 is spoken here")
        if fields.get("content-length", "0") != "0" or "transfer-encoding" in fields:
            self._answer(connection, "413 Content Too Large", "requests have no body here", closing=True)
            return None
        if version == "HTTP/1.0" or "close" in fields.get("connection", "").lower():
            connection.closing = True
        if method not in {"GET", "HEAD"}:
            self._answer(connection, "405 Method Not Allowed", allow="GET, HEAD")
            return None
        path, content_id = target.partition("?")[0].rsplit("/", 1) if "/" in target else ("", "")
        served = None
        if path == "/pieces" and len(content_id) == 64 and ID_DIGITS.issuperset(content_id):
            served = self._open(content_id)
        if served is None:
            self._answer(connection, "404 Not Found", "this content is not here")
            return None
        peer = fields.get(http.PEER, "")[:253]
        if tracing.TRACEPARENT in fields and connection.span is tracing.NOTHING:
            connection.span = tracing.span(
                "serve pieces",
                "server",
                {"minga.peer": peer, "minga.content.id": content_id},
                parent=fields[tracing.TRACEPARENT],
            )
        if peer and self._gossip and http.HAVE in fields:
            self._gossip.heard(content_id, peer, fields[http.HAVE])
        ranges = http.parse_ranges(fields["range"], served.content.size) if "range" in fields else []
        return Request(served, ranges, method == "HEAD", peer)

    def _open(self, content_id: str) -> Served | None:
        served = self._served.get(content_id)
        if served is None:
            content = self._contents.open(content_id)
            if content is None:
                return None
            piece = piece_size(content.size)
            sent = [0] * -(-content.size // piece)
            served = self._served[content_id] = Served(content_id, content, piece, sent)
            served.idle_since = time.monotonic()
        return served

    def _answer(
        self,
        connection: Connection,
        status: str,
        text: str = "",
        *,
        closing: bool = False,
        retry_after: int | None = None,
        allow: str = "",
    ) -> None:
        body = (text or status).encode() + b"\n"
        fields = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))]
        if retry_after is not None:
            fields.append(("Retry-After", str(retry_after)))
        if allow:
            fields.append(("Allow", allow))
        self._send_head(connection, status, fields, body, closing=closing)

    def _unsatisfiable(self, connection: Connection, size: int) -> None:
        fields = [("Content-Range", f"bytes */{size}"), ("Content-Length", "0")]
        self._send_head(connection, "416 Range Not Satisfiable", fields)

    def _send_head(
        self,
        connection: Connection,
        status: str,
        fields: list[tuple[str, str]],
        body: bytes = b"",
        *,
        closing: bool = False,
    ) -> None:
        connection.closing = connection.closing or closing
        if connection.closing:
            fields.append(("Connection", "close"))
        connection.pending = http.format_response(status, fields) + body
        connection.offset = connection.end = 0
        connection.sending = True
        self._sending[connection.sock.fileno()] = connection
        self._advance(connection, time.monotonic())

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
        request = connection.request
        assert request is not None
        served = request.served
        size = served.content.size
        available = served.content.available
        whole = available is None or available.bit_count() == len(served.sent)
        ranges = servable(request.ranges or [(0, size)], None if whole else available, served.piece_size)
        if not ranges and size:
            self._release(connection)
            self._unsatisfiable(connection, size)
            return
        start, end = 0, size
        if request.ranges:
            pieces = [pieces_of(start, end, served.piece_size) for start, end in ranges]
            wanted = pieces
            if request.peer and self._gossip:
                wanted = still_wanted(pieces, self._gossip.has(served.id, request.peer))
            if not wanted:
                self._release(connection)
                self._send_head(connection, "204 No Content", [])
                return
            start, end = ranges[pieces.index(least_sent(wanted, served.sent))]
        elif not whole:
            self._release(connection)
            self._answer(connection, "404 Not Found", "only a part of this content is here: name a range")
            return
        fields = [
            ("Content-Type", "application/octet-stream"),
            ("Content-Length", str(end - start)),
            ("ETag", f'"{served.id}"'),
            ("Accept-Ranges", "bytes"),
        ]
        if request.ranges:
            fields.append(("Content-Range", f"bytes {start}-{end - 1}/{size}"))
        if request.peer and self._gossip:
            news = self._gossip.news(served.id, request.peer)
            if news:
                fields.append(("Minga-Have", http.format_pieces(news)))
        if connection.closing:
            fields.append(("Connection", "close"))
        connection.pending = http.format_response(
            "206 Partial Content" if request.ranges else "200 OK", fields
        )
        connection.offset, connection.end, connection.body = start, end, end - start
        if request.head_only:
            connection.offset = connection.end
            connection.body = 0
        else:
            for piece in pieces_of(start, end, served.piece_size):
                served.sent[piece] += 1
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
            self._want(connection, 0)
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
            self._want(connection, select.EPOLLOUT)
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
            request.served.users -= 1
            request.served.idle_since = time.monotonic()
            if not request.served.users and len(self._served) > MOST_KEPT_OPEN:
                del self._served[request.served.id]
                request.served.content.close()
