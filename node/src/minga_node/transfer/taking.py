"""Pieces from a connection into a partial file, each verified before it counts."""

from __future__ import annotations

import os
from collections.abc import Callable

from blake3 import blake3

from minga_node.errors import VerificationFailed
from minga_node.transfer.incoming import Incoming
from minga_node.transfer.partial import Claim, PartialFile, storage_error, write_all

CHUNK = 256 * 1024
"""Bytes received at a time and hashed while they are in the processor's cache."""


class Taking:
    """Of one connection; used by one thread.

    Args:
        peer_id: whose pieces they are, for messages.
        give_up: ends the connection, from any thread: another one needs the place of its piece.
    """

    def __init__(self, partial: PartialFile, peer_id: str, give_up: Callable[[], None]) -> None:
        self._partial, self._peer_id, self._give_up = partial, peer_id, give_up
        # Its own, so that a late write can never go to another file that got the number.
        self._descriptor = os.dup(partial.fileno())
        self._buffer = memoryview(bytearray(min(CHUNK, partial.manifest.piece_size)))

    def close(self) -> None:
        os.close(self._descriptor)

    def take(self, incoming: Incoming, piece: int) -> bool:
        """Whether it is here now.

        Raises:
            PeerUnreachable: it did not come.
            VerificationFailed: it is not what the manifest says.
            MingaError: the disk.
        """
        start, end = self._partial.manifest.span(piece)
        claim = self._partial.claim(piece, self._give_up)
        if claim is None:
            return self._take_aside(incoming, piece, end - start)
        self._take_in_place(incoming, claim)
        return True

    def _take_in_place(self, incoming: Incoming, claim: Claim) -> None:
        """A piece chunk by chunk into the file; nobody reads it there before it is verified and marked."""
        position, end = self._partial.manifest.span(claim.piece)
        hasher = blake3()
        verified = False
        try:
            while position < end:
                chunk = self._buffer[: min(CHUNK, end - position)]
                incoming.fill(chunk)
                hasher.update(chunk)
                try:
                    with self._partial.disk:
                        write_all(self._descriptor, chunk, position)
                except OSError as error:
                    raise storage_error(error, self._partial.path) from error
                position += len(chunk)
            incoming.body_ends()
            verified = hasher.digest() == self._partial.manifest.digest(claim.piece)
        finally:
            self._partial.release(claim, verified=verified)
        if not verified:
            raise VerificationFailed(f"piece {claim.piece} from {self._peer_id} has not its digest")

    def _take_aside(self, incoming: Incoming, piece: int, length: int) -> bool:
        """A piece that another connection has in hand too: into memory, and stored only once it is
        verified.
        """
        piece_buffer = memoryview(bytearray(length))
        for start in range(0, length, CHUNK):
            incoming.fill(piece_buffer[start : start + CHUNK])
        incoming.body_ends()
        if blake3(piece_buffer).digest() != self._partial.manifest.digest(piece):
            raise VerificationFailed(f"piece {piece} from {self._peer_id} has not its digest")
        try:
            return self._partial.put(piece, piece_buffer)
        except OSError as error:
            raise storage_error(error, self._partial.path) from error
