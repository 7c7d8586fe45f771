"""What comes on a connection to a holder: heads and bodies, in steps that are woken seldom."""

from __future__ import annotations

from collections.abc import Callable

from minga_node.errors import PeerMisbehaved, PeerUnreachable
from minga_node.fetching.steps import Steps, Wait
from minga_node.fetching.stream import ByteStream
from minga_node.wire import http
from minga_node.wire.rate_limit import TokenBucket

STALL_SECONDS = 15.0
ROOM = 4 * 1024
"""Bytes of the buffer besides those of a chunk: for the head before it."""


class ResponseReader:
    """The reading side of one connection.

    A head is received together with what has come of its body, so where a node is busier than its links one
    call takes in a whole answer.

    Args:
        peer_id: for messages.
        limiter: limit on bytes of bodies.
        chunk: most bytes that :meth:`fill` is asked for.
    """

    def __init__(self, stream: ByteStream, peer_id: str, limiter: TokenBucket, chunk: int) -> None:
        self._stream, self._peer_id, self._limiter = stream, peer_id, limiter
        self._bytes = bytearray(chunk + ROOM)
        self._view = memoryview(self._bytes)
        self._begin = self._end = 0
        """Of what was received and not taken out yet."""
        self.received = 0
        """Bytes of pieces, wanted or not."""

    def head(self, idle: Callable[[], bool]) -> Steps[http.Head | None]:
        """The next head; None after a while in which nothing came though nothing was to come (``idle``).

        Raises:
            PeerUnreachable, PeerMisbehaved, BadRequest
        """
        while (end := self._bytes.find(b"\r\n\r\n", self._begin, self._end)) < 0:
            if self._end - self._begin > http.LARGEST_HEAD_BYTES:
                raise PeerMisbehaved(f"{self._peer_id} sends no end of its header")
            if not (yield from self._receive(1)):
                if idle():
                    return None
                raise PeerUnreachable(f"{self._peer_id} has not answered for {STALL_SECONDS:g} s")
        head = http.parse_head(bytes(self._view[self._begin : end]))
        self._begin = end + 4
        return head

    def fill(self, count: int) -> Steps[memoryview]:
        """The next ``count`` bytes of a body. They stay until the next step.

        Raises:
            PeerUnreachable
        """
        wait = self._limiter.take(count)
        if wait:
            yield Wait(0, wait)
        while (lacking := count - (self._end - self._begin)) > 0:
            # Otherwise every packet would wake the thread, to find that the chunk is not full yet.
            if not (yield from self._receive(lacking)):
                raise PeerUnreachable(f"{self._peer_id} has sent nothing for {STALL_SECONDS:g} s")
        chunk = self._view[self._begin : self._begin + count]
        self._begin += count
        self.received += count
        return chunk

    def skip(self, length: int) -> Steps[None]:
        """Takes the body of an answer that is not a piece.

        Raises:
            PeerUnreachable, PeerMisbehaved
        """
        if length > http.LARGEST_HEAD_BYTES:
            raise PeerMisbehaved(f"{self._peer_id} explains itself at length")
        while length:
            if self._begin == self._end and not (yield from self._receive(1)):
                raise PeerUnreachable(f"{self._peer_id} has sent nothing for {STALL_SECONDS:g} s")
            taken = min(length, self._end - self._begin)
            self._begin += taken
            length -= taken

    def _receive(self, lacking: int) -> Steps[bool]:
        """Some more, once ``lacking`` bytes are there; False if nothing has come for long.

        Raises:
            PeerUnreachable: the connection has ended.
        """
        self._make_room(lacking)
        there = True
        while True:
            if not self._stream.pending:
                there = yield Wait(lacking, STALL_SECONDS)
            try:
                # After a while less than was waited for may be there, from a holder that is only slow.
                count = self._stream.receive(self._view[self._end :])
            except BlockingIOError:
                if there:
                    continue
                return False
            if count == 0:
                raise PeerUnreachable(f"{self._peer_id} closed the connection")
            self._end += count
            return True

    def _make_room(self, lacking: int) -> None:
        if self._begin == self._end:
            self._begin = self._end = 0
        if self._end + lacking <= len(self._bytes):
            return
        here = self._end - self._begin
        if here + lacking > len(self._bytes):
            # A head that is longer than any that nodes send each other.
            self._bytes = self._bytes + bytes(len(self._bytes))
            self._view = memoryview(self._bytes)
        self._view[:here] = self._bytes[self._begin : self._end]
        self._begin, self._end = 0, here
