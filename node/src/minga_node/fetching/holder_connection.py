"""The other end of the piece listener: asks one holder for pieces and takes them in, verified, one after
another.

Requests are sent by whoever decides them; the answers come in the order of the requests, and are read by a
thread that serves many connections (:mod:`minga_node.fetching.io_threads`). So a request is always waiting at
the holder while a piece is on its way.
"""

from __future__ import annotations

import threading
from collections import deque
from contextlib import suppress
from typing import Protocol

from minga_node.errors import BadRequest, MingaError, PeerMisbehaved, PeerUnreachable
from minga_node.fetching.io_threads import IoThreads
from minga_node.fetching.partial_file import PartialFile
from minga_node.fetching.piece_writer import CHUNK, PieceWriter
from minga_node.fetching.remote import Remote
from minga_node.fetching.response_reader import ResponseReader
from minga_node.fetching.steps import Steps
from minga_node.fetching.stream import ByteStream
from minga_node.fetching.tls import stream_of
from minga_node.manifest import Manifest
from minga_node.swarm import PieceFetch
from minga_node.tracing import NOTHING, Span
from minga_node.wire import http
from minga_node.wire.piece_set import Pieces
from minga_node.wire.rate_limit import TokenBucket

LONGEST_WAIT = 30.0


class HolderListener(Protocol):
    """What is told of what a receiver gets. Called from the receiver's thread."""

    def on_chosen(self, ask: PieceFetch, pieces: range) -> None:
        """The holder answers with these."""

    def on_piece(self, ask: PieceFetch, piece: int, *, last: bool) -> None:
        """Verified and stored, now or before; ``last`` is True at the answer's end."""

    def on_finished(self, ask: PieceFetch) -> None:
        """The answer has ended without a piece that could be kept."""

    def on_refused(self, ask: PieceFetch, retry_after: float) -> None:
        """503: the holder has no slot."""

    def on_lacking(self, ask: PieceFetch, *, gone: bool) -> None:
        """416: the holder does not have these (any more); 404, ``gone``: it has nothing of the content."""

    def on_heard(self, peer_id: str, pieces: Pieces) -> None:
        """The holder says that it now has these."""

    def on_met(self, others: tuple[str, ...]) -> None:
        """The holder names others in the swarm."""

    def on_closed(self, receiver: HolderConnection, error: MingaError | None) -> None:
        """The connection is gone, with everything asked on it."""

    def news(self, peer_id: str) -> Pieces:
        """What to tell the holder of new pieces here."""

    def rate(self) -> int:
        """Bytes that come a second, from all holders together; 0 while that is not known."""


class HolderConnection:
    """One kept-alive connection to one holder, and one span for all that comes on it.

    Its first request is to follow: from then on answers carry news of the holder (see
    :mod:`minga_node.downloads.exchange`).
    """

    def __init__(
        self,
        remote: Remote,
        partial: PartialFile,
        listener: HolderListener,
        receiving: IoThreads,
        *,
        name: str,
        limiter: TokenBucket,
        apart: bool = False,
        span: Span = NOTHING,
    ) -> None:
        self.remote, self._partial, self._listener = remote, partial, listener
        self._receiving, self._apart = receiving, apart
        self._name, self._limiter, self._span = name, limiter, span
        self._asked: deque[PieceFetch | None] = deque()
        """What is not answered yet; None stands for news."""
        self._lock = threading.Lock()
        self._stream: ByteStream | None = None
        self._closed = False

    def start(self) -> None:
        """Connects, without waiting for it."""
        name = f"to {self.remote.peer_id}"
        threading.Thread(target=self._begin, name=name, daemon=True).start()

    @property
    def load(self) -> int:
        """Requests not answered yet."""
        return len(self._asked)

    def unanswered(self) -> list[PieceFetch]:
        """What was asked and is not answered as a whole."""
        with self._lock:
            return [ask for ask in self._asked if ask is not None]

    def ask(self, ask: PieceFetch) -> bool:
        """Sends a request; kept until there is a connection. False if it is closed."""
        with self._lock:
            if self._closed:
                return False
            self._asked.append(ask)
            if self._stream is not None:
                self._send(self._stream, self._request(ask))
            return True

    def _send(self, stream: ByteStream, requests: bytes) -> None:
        with suppress(OSError):  # whoever reads will see it too
            stream.send(requests)

    def _request(self, ask: PieceFetch) -> bytes:
        manifest = self._partial.manifest
        ranges = [
            (pieces.start * manifest.piece_size, manifest.span(pieces[-1])[1]) for pieces in ask.candidates
        ]
        news = self._listener.news(self.remote.peer_id)
        return http.format_request(
            *(self.remote.host, manifest.id, ranges, self._name, news, self._span.traceparent),
            rate=self._listener.rate(),
        )

    def _head(self, news: Pieces = 0, *, follow: bool = False) -> bytes:
        """A request that is for news alone."""
        content_id = self._partial.manifest.id
        return http.format_request(
            self.remote.host, content_id, (), self._name, news, method="HEAD", follow=follow
        )

    def tell(self) -> bool:
        """Tells the holder what is new here, in a request of its own; the answer tells what is new there.
        False if there is no connection.
        """
        with self._lock:
            if self._closed or self._stream is None:
                return False
            news = self._listener.news(self.remote.peer_id)
            if news:
                self._asked.append(None)
                self._send(self._stream, self._head(news))
            return True

    def close(self) -> None:
        """Ends the connection; what was asked is given back by ``on_closed``."""
        with self._lock:
            self._closed = True
            if self._stream is not None:
                with suppress(OSError):
                    self._stream.shutdown()

    def _begin(self) -> None:
        try:
            stream = stream_of(self.remote.connect())
        except MingaError as error:
            self._end(error)
            return
        if not self._receiving.add(stream, self._run(stream), apart=self._apart):
            stream.close()
            self._end(None)

    def _end(self, error: MingaError | None) -> None:
        with self._lock:
            closed_here, self._closed = self._closed, True
            stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()
        if error is not None and not closed_here:
            self._span.fail(str(error))
        self._span.end()
        self._listener.on_closed(self, None if closed_here else error)

    def _run(self, stream: ByteStream) -> Steps[None]:
        error: MingaError | None = None
        taking: PieceWriter | None = None
        incoming: ResponseReader | None = None
        try:
            self._meet(stream)
            taking = PieceWriter(self._partial, self.remote.peer_id)
            chunk = min(CHUNK, self._partial.manifest.piece_size)
            incoming = ResponseReader(stream, self.remote.peer_id, self._limiter, chunk)
            while not self._closed:
                yield from self._answer(incoming, taking)
        except MingaError as problem:
            error = problem
        except (BadRequest, OSError) as problem:
            error = PeerUnreachable(f"{self.remote.peer_id}: {problem}")
        finally:
            if taking is not None:
                taking.close()
            self._span.set({"minga.bytes": incoming.received if incoming is not None else 0})
            self._end(error)

    def _meet(self, stream: ByteStream) -> None:
        """Sends what was asked until now."""
        with self._lock:
            self._stream = stream
            if not self._closed:
                requests = [self._request(ask) for ask in filter(None, self._asked)]
                if self._partial.manifest.pieces > 1:
                    self._asked.appendleft(None)
                    requests.insert(0, self._head(follow=True))
                self._send(stream, b"".join(requests))

    def _answer(self, incoming: ResponseReader, taking: PieceWriter) -> Steps[None]:
        head = yield from incoming.head(lambda: not self._asked)
        if head is None:
            return
        with self._lock:
            if not self._asked:
                raise PeerMisbehaved(f"{self.remote.peer_id} answers what was not asked")
            ask = self._asked[0]
        fields, status = head.fields, head.start[1]
        if http.HAVE in fields:
            self._listener.on_heard(
                self.remote.peer_id, http.parse_pieces(fields[http.HAVE], self._partial.manifest.pieces)
            )
        if http.OTHERS in fields:
            self._listener.on_met(http.parse_names(fields[http.OTHERS]))
        if ask is None:
            with self._lock:
                self._asked.popleft()
            return
        length = fields.get("content-length", "0" if status == "204" else "")
        if not length.isdigit():
            raise PeerMisbehaved(f"{self.remote.peer_id} does not say how long its answer is")
        if status == "206":
            yield from self._take_pieces(incoming, taking, ask, fields, int(length))
            return
        yield from incoming.skip(int(length))
        with self._lock:
            self._asked.popleft()
        if status == "204":
            # The holder has heard that these are here meanwhile.
            self._listener.on_finished(ask)
        elif status == "503":
            wait = fields.get("retry-after", "1")
            self._listener.on_refused(ask, min(float(wait), LONGEST_WAIT) if wait.isdigit() else 1.0)
        elif status in {"404", "416"}:
            self._listener.on_lacking(ask, gone=status == "404")
        else:
            raise PeerMisbehaved(f"{self.remote.peer_id} answers {status}")

    def _take_pieces(
        self,
        incoming: ResponseReader,
        taking: PieceWriter,
        ask: PieceFetch,
        fields: dict[str, str],
        length: int,
    ) -> Steps[None]:
        pieces = answered(self._partial.manifest, ask, fields.get("content-range", ""), length)
        if pieces is None:
            raise PeerMisbehaved(f"{self.remote.peer_id} answers with another range than asked for")
        self._listener.on_chosen(ask, pieces)
        for piece in pieces:
            here, last = (yield from taking.take(incoming, piece)), piece == pieces[-1]
            if last:
                with self._lock:
                    self._asked.popleft()
            if here:
                self._listener.on_piece(ask, piece, last=last)
            elif last:
                self._listener.on_finished(ask)


def answered(manifest: Manifest, ask: PieceFetch, content_range: str, length: int) -> range | None:
    """The pieces that an answer of status 206 brings; None if it was not asked for just those.

    Args:
        content_range: the field of the answer (RFC 9110, 14.4).
        length: of its body, in bytes.

    Raises:
        PeerMisbehaved: the field is none.
    """
    start, end, size = http.parse_content_range(content_range)
    pieces = range(start // manifest.piece_size, -(-end // manifest.piece_size))
    if not any(pieces.start == asked.start and 0 < len(pieces) <= len(asked) for asked in ask.candidates):
        return None
    whole = start == manifest.span(pieces[0])[0] and end == manifest.span(pieces[-1])[1]
    return pieces if whole and size == manifest.size and length == end - start else None
