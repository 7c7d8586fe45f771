"""The other end of the piece listener: asks one holder for pieces and takes them in, verified, one after
another.

Requests are sent by whoever decides them; one thread a connection reads the answers, which come in the order
of the requests. So a request is always waiting at the holder while a piece is on its way.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import Protocol

from blake3 import blake3

from minga_node.errors import BadRequest, MingaError, PeerMisbehaved, PeerUnreachable, VerificationFailed
from minga_node.swarm import Ask
from minga_node.swarm.pieces import Pieces
from minga_node.tracing import NOTHING, Span
from minga_node.transfer import http
from minga_node.transfer.limiter import TokenBucket
from minga_node.transfer.partial import Claim, PartialFile, storage_error, write_all

CHUNK = 256 * 1024
"""Bytes received at a time and hashed while they are in the processor's cache."""
CONNECT_SECONDS = 5.0
STALL_SECONDS = 15.0
LONGEST_WAIT = 30.0


@dataclass(frozen=True, slots=True)
class Remote:
    """Where a holder listens for pieces."""

    peer_id: str
    host: str
    port: int


class Listener(Protocol):
    """What is told of what a receiver gets. Called from the receiver's thread."""

    def on_chosen(self, ask: Ask, pieces: range) -> None:
        """The holder answers with these."""

    def on_piece(self, ask: Ask, piece: int, *, last: bool) -> None:
        """Verified and stored, now or before; ``last`` is True at the answer's end."""

    def on_finished(self, ask: Ask) -> None:
        """The answer has ended without a piece that could be kept."""

    def on_refused(self, ask: Ask, retry_after: float) -> None:
        """503: the holder has no slot."""

    def on_lacking(self, ask: Ask) -> None:
        """404 or 416: the holder does not have these (any more)."""

    def on_heard(self, peer_id: str, pieces: Pieces) -> None:
        """The holder says that it now has these."""

    def on_closed(self, receiver: Receiver, error: MingaError | None) -> None:
        """The connection is gone, with everything asked on it."""

    def news(self, peer_id: str) -> Pieces:
        """What to tell the holder of new pieces here."""


class Receiver:
    """One kept-alive connection to one holder, and one span for all that comes on it."""

    def __init__(
        self,
        remote: Remote,
        partial: PartialFile,
        listener: Listener,
        *,
        name: str,
        limiter: TokenBucket,
        span: Span = NOTHING,
    ) -> None:
        self.remote, self._partial, self._listener = remote, partial, listener
        self._name, self._limiter, self._span = name, limiter, span
        self._asked: deque[Ask] = deque()
        self._lock = threading.Lock()
        self._sock: socket.socket | None = None
        self._closed = False
        self._head = bytearray()
        self._buffer = memoryview(bytearray(min(CHUNK, partial.manifest.piece_size)))
        self._descriptor = -1
        self.received = 0
        """Bytes of pieces that came on this connection, wanted or not."""
        self._thread = threading.Thread(target=self._run, name=f"from {remote.peer_id}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    @property
    def load(self) -> int:
        """Requests not answered yet."""
        return len(self._asked)

    def unanswered(self) -> list[Ask]:
        """What was asked and is not answered as a whole."""
        with self._lock:
            return list(self._asked)

    def ask(self, ask: Ask) -> bool:
        """Sends a request; kept until there is a connection. False if it is closed."""
        with self._lock:
            if self._closed:
                return False
            self._asked.append(ask)
            if self._sock is None:
                return True
            return self._send(self._sock, ask)

    def _send(self, sock: socket.socket, ask: Ask) -> bool:
        manifest = self._partial.manifest
        ranges = [
            (pieces.start * manifest.piece_size, manifest.span(pieces[-1])[1]) for pieces in ask.candidates
        ]
        news = self._listener.news(self.remote.peer_id)
        try:
            sock.sendall(
                http.format_request(
                    self.remote.host, manifest.id, ranges, self._name, news, self._span.traceparent
                )
            )
        except OSError:
            return True  # the reading thread will see it too
        return True

    def close(self) -> None:
        """Ends the connection; what was asked is given back by ``on_closed``."""
        with self._lock:
            self._closed = True
            if self._sock is not None:
                try:
                    self._sock.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def join(self, timeout: float) -> None:
        if self._thread.ident is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout)

    def _run(self) -> None:
        error: MingaError | None = None
        try:
            # Its own, so that a late write can never go to another file that got the number.
            self._descriptor = os.dup(self._partial.fileno())
            sock = self._connect()
            while not self._closed:
                self._answer(sock)
        except MingaError as problem:
            error = problem
        except (BadRequest, OSError) as problem:
            error = PeerUnreachable(f"{self.remote.peer_id}: {problem}")
        finally:
            with self._lock:
                closed_here, self._closed = self._closed, True
                sock_or_none, self._sock = self._sock, None
            if sock_or_none is not None:
                sock_or_none.close()
            if self._descriptor >= 0:
                os.close(self._descriptor)
            self._span.set({"minga.bytes": self.received})
            if error is not None and not closed_here:
                self._span.fail(str(error))
            self._span.end()
            self._listener.on_closed(self, None if closed_here else error)

    def _connect(self) -> socket.socket:
        try:
            sock = socket.create_connection((self.remote.host, self.remote.port), CONNECT_SECONDS)
        except OSError as error:
            raise PeerUnreachable(f"{self.remote.peer_id} does not answer: {error}") from error
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.settimeout(STALL_SECONDS)
        with self._lock:
            self._sock = sock
            if not self._closed:
                for ask in self._asked:
                    self._send(sock, ask)
        return sock

    def _answer(self, sock: socket.socket) -> None:
        head = self._read_head(sock)
        if head is None:
            return
        with self._lock:
            if not self._asked:
                raise PeerMisbehaved(f"{self.remote.peer_id} answers what was not asked")
            ask = self._asked[0]
        fields, status = head.fields, head.start[1]
        length = fields.get("content-length", "0" if status == "204" else "")
        if not length.isdigit():
            raise PeerMisbehaved(f"{self.remote.peer_id} does not say how long its answer is")
        manifest = self._partial.manifest
        if http.HAVE in fields:
            self._listener.on_heard(
                self.remote.peer_id, http.parse_pieces(fields[http.HAVE], manifest.pieces)
            )
        if status == "206":
            self._take_pieces(sock, ask, fields, int(length))
            return
        self._skip(sock, int(length))
        with self._lock:
            self._asked.popleft()
        if status == "204":
            # The holder has heard that these are here meanwhile.
            self._listener.on_finished(ask)
        elif status == "503":
            wait = fields.get("retry-after", "1")
            self._listener.on_refused(ask, min(float(wait), LONGEST_WAIT) if wait.isdigit() else 1.0)
        elif status in {"404", "416"}:
            self._listener.on_lacking(ask)
        else:
            raise PeerMisbehaved(f"{self.remote.peer_id} answers {status}")

    def _read_head(self, sock: socket.socket) -> http.Head | None:
        """The next head; bytes of the body that came along stay in ``_head``."""
        while (end := self._head.find(b"\r\n\r\n")) < 0:
            if len(self._head) > http.LARGEST_HEAD:
                raise PeerMisbehaved(f"{self.remote.peer_id} sends no end of its header")
            try:
                # Not more than a head is likely to have: what belongs to the body is then received in place.
                data = sock.recv(512)
            except TimeoutError:
                if not self._asked:
                    return None  # idle, not stalled
                raise PeerUnreachable(
                    f"{self.remote.peer_id} has not answered for {STALL_SECONDS:g} s"
                ) from None
            if not data:
                raise PeerUnreachable(f"{self.remote.peer_id} closed the connection")
            self._head += data
        head = http.parse_head(bytes(self._head[:end]))
        del self._head[: end + 4]
        return head

    def _take_pieces(self, sock: socket.socket, ask: Ask, fields: dict[str, str], length: int) -> None:
        manifest = self._partial.manifest
        start, end, size = http.parse_content_range(fields.get("content-range", ""))
        pieces = range(start // manifest.piece_size, -(-end // manifest.piece_size))
        fits = any(pieces.start == asked.start and len(pieces) <= len(asked) for asked in ask.candidates)
        whole = (
            start == manifest.span(pieces[0])[0] and end == manifest.span(pieces[-1])[1] if fits else False
        )
        if not whole or size != manifest.size or length != end - start:
            raise PeerMisbehaved(f"{self.remote.peer_id} answers with another range than asked for")
        self._listener.on_chosen(ask, pieces)
        for piece in pieces:
            here, last = self._take_piece(sock, piece), piece == pieces[-1]
            if last:
                with self._lock:
                    self._asked.popleft()
            if here:
                self._listener.on_piece(ask, piece, last=last)
            elif last:
                self._listener.on_finished(ask)

    def _take_piece(self, sock: socket.socket, piece: int) -> bool:
        """Whether it is here now."""
        start, end = self._partial.manifest.span(piece)
        claim = self._partial.claim(piece, self.close)
        if claim is None:
            return self._take_aside(sock, piece, end - start)
        self._take_in_place(sock, claim)
        return True

    def _take_in_place(self, sock: socket.socket, claim: Claim) -> None:
        """A piece chunk by chunk into the file; nobody reads it there before it is verified and marked."""
        position, end = self._partial.manifest.span(claim.piece)
        hasher = blake3()
        verified = False
        try:
            while position < end:
                chunk = self._buffer[: min(CHUNK, end - position)]
                self._receive(sock, chunk)
                hasher.update(chunk)
                try:
                    with self._partial.disk:
                        write_all(self._descriptor, chunk, position)
                except OSError as error:
                    raise storage_error(error, self._partial.path) from error
                position += len(chunk)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)
            verified = hasher.digest() == self._partial.manifest.digest(claim.piece)
        finally:
            self._partial.release(claim, verified=verified)
        if not verified:
            raise VerificationFailed(f"piece {claim.piece} from {self.remote.peer_id} has not its digest")

    def _take_aside(self, sock: socket.socket, piece: int, length: int) -> bool:
        """A piece that another connection has in hand too: into memory, and stored only once it is
        verified.
        """
        piece_buffer = memoryview(bytearray(length))
        for start in range(0, length, CHUNK):
            self._receive(sock, piece_buffer[start : start + CHUNK])
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)
        if blake3(piece_buffer).digest() != self._partial.manifest.digest(piece):
            raise VerificationFailed(f"piece {piece} from {self.remote.peer_id} has not its digest")
        try:
            return self._partial.put(piece, piece_buffer)
        except OSError as error:
            raise storage_error(error, self._partial.path) from error

    def _receive(self, sock: socket.socket, chunk: memoryview) -> None:
        """Fills ``chunk``, at most :data:`CHUNK` bytes."""
        wait = self._limiter.take(len(chunk))
        if wait:
            time.sleep(wait)
        position = min(len(self._head), len(chunk))
        if position:
            chunk[:position] = self._head[:position]
            del self._head[:position]
        while position < len(chunk):
            # Otherwise every packet would wake the thread, to find that the chunk is not full yet.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, len(chunk) - position)
            try:
                count = sock.recv_into(chunk[position:])
            except TimeoutError:
                # Less than a chunk may be there, from a holder that is only slow.
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)
                try:
                    count = sock.recv_into(chunk[position:], 0, socket.MSG_DONTWAIT)
                except TimeoutError:
                    raise PeerUnreachable(
                        f"{self.remote.peer_id} has sent nothing for {STALL_SECONDS:g} s"
                    ) from None
            if count == 0:
                raise PeerUnreachable(f"{self.remote.peer_id} closed the connection in a piece")
            position += count
        self.received += len(chunk)

    def _skip(self, sock: socket.socket, length: int) -> None:
        """Reads the body of an answer that is not a piece."""
        if length > http.LARGEST_HEAD:
            raise PeerMisbehaved(f"{self.remote.peer_id} explains itself at length")
        while len(self._head) < length:
            data = sock.recv(length - len(self._head))
            if not data:
                raise PeerUnreachable(f"{self.remote.peer_id} closed the connection")
            self._head += data
        del self._head[:length]
