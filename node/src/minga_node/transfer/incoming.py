"""What comes on a connection to a holder: heads and bodies, in blocking reads that wake seldom."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

from minga_node.errors import PeerMisbehaved, PeerUnreachable
from minga_node.transfer import http
from minga_node.transfer.limiter import TokenBucket
from minga_node.transfer.secure import Stream

STALL_SECONDS = 15.0


class Incoming:
    """The reading side of one socket, used by one thread.

    Args:
        peer_id: for messages.
        limiter: limit on bytes of bodies.
    """

    def __init__(self, sock: Stream, peer_id: str, limiter: TokenBucket) -> None:
        self._sock, self._peer_id, self._limiter = sock, peer_id, limiter
        self._ahead = bytearray()
        """Read, and not asked for yet."""
        self.received = 0
        """Bytes of pieces, wanted or not."""
        sock.settimeout(STALL_SECONDS)

    def head(self, idle: Callable[[], bool]) -> http.Head | None:
        """The next head; None after a while in which nothing came though nothing was to come (``idle``).

        Raises:
            PeerUnreachable, PeerMisbehaved, BadRequest
        """
        while (end := self._ahead.find(b"\r\n\r\n")) < 0:
            if len(self._ahead) > http.LARGEST_HEAD:
                raise PeerMisbehaved(f"{self._peer_id} sends no end of its header")
            try:
                # Not more than a head is likely to have: what belongs to the body is then received in place.
                data = self._sock.recv(512)
            except TimeoutError:
                if idle():
                    return None
                raise PeerUnreachable(f"{self._peer_id} has not answered for {STALL_SECONDS:g} s") from None
            if not data:
                raise PeerUnreachable(f"{self._peer_id} closed the connection")
            self._ahead += data
        head = http.parse_head(bytes(self._ahead[:end]))
        del self._ahead[: end + 4]
        return head

    def fill(self, chunk: memoryview) -> None:
        """Receives as much of a body as ``chunk`` has room for.

        Raises:
            PeerUnreachable
        """
        wait = self._limiter.take(len(chunk))
        if wait:
            time.sleep(wait)
        position = min(len(self._ahead), len(chunk))
        if position:
            chunk[:position] = self._ahead[:position]
            del self._ahead[:position]
        while position < len(chunk):
            # Otherwise every packet would wake the thread, to find that the chunk is not full yet.
            self._wake_at(len(chunk) - position)
            try:
                count = self._sock.recv_into(chunk[position:])
            except TimeoutError:
                # Less than a chunk may be there, from a holder that is only slow.
                self._wake_at(1)
                try:
                    count = self._sock.recv_into(chunk[position:], 0, socket.MSG_DONTWAIT)
                except TimeoutError:
                    raise PeerUnreachable(
                        f"{self._peer_id} has sent nothing for {STALL_SECONDS:g} s"
                    ) from None
            if count == 0:
                raise PeerUnreachable(f"{self._peer_id} closed the connection in a piece")
            position += count
        self.received += len(chunk)

    def body_ends(self) -> None:
        """What comes next is a head, of any length."""
        self._wake_at(1)

    def skip(self, length: int) -> None:
        """Reads the body of an answer that is not a piece.

        Raises:
            PeerUnreachable, PeerMisbehaved
        """
        if length > http.LARGEST_HEAD:
            raise PeerMisbehaved(f"{self._peer_id} explains itself at length")
        while len(self._ahead) < length:
            data = self._sock.recv(length - len(self._ahead))
            if not data:
                raise PeerUnreachable(f"{self._peer_id} closed the connection")
            self._ahead += data
        del self._ahead[:length]

    def _wake_at(self, count: int) -> None:
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, count)
