"""Pieces from a connection into a partial file, each verified before it counts."""

from __future__ import annotations

import os

from blake3 import blake3

from minga_node.errors import VerificationFailed
from minga_node.fetching.partial_file import Claim, PartialFile, storage_error, write_all
from minga_node.fetching.punching import is_zero, punch
from minga_node.fetching.response_reader import ResponseReader
from minga_node.fetching.steps import Steps

CHUNK = 256 * 1024
"""Bytes received at a time and hashed while they are in the processor's cache."""


class PieceWriter:
    """Of one connection.

    Args:
        peer_id: whose pieces they are, for messages.
    """

    def __init__(self, partial: PartialFile, peer_id: str) -> None:
        self._partial, self._peer_id = partial, peer_id
        # Its own, so that a late write can never go to another file that got the number.
        self._descriptor = os.dup(partial.fileno())

    def close(self) -> None:
        os.close(self._descriptor)

    def take(self, incoming: ResponseReader, piece: int) -> Steps[bool]:
        """Whether it is here now.

        Raises:
            PeerUnreachable: it did not come.
            VerificationFailed: it is not what the manifest says.
            MingaError: the disk.
        """
        claim = self._partial.claim(piece)
        if claim is None:
            return (yield from self._take_aside(incoming, piece))
        yield from self._take_in_place(incoming, claim)
        return True

    def _take_in_place(self, incoming: ResponseReader, claim: Claim) -> Steps[None]:
        """A piece chunk by chunk into the file; nobody reads it there before it is verified and marked."""
        position, end = self._partial.manifest.span(claim.piece)
        hasher = blake3()
        verified = False
        try:
            while position < end:
                chunk = yield from incoming.fill(min(CHUNK, end - position))
                hasher.update(chunk)
                self._write(claim, chunk, position)
                position += len(chunk)
            verified = hasher.digest() == self._partial.manifest.digest(claim.piece)
        finally:
            self._partial.release(claim, verified=verified)
        if not verified:
            raise VerificationFailed(f"piece {claim.piece} from {self._peer_id} has not its digest")

    def _write(self, claim: Claim, chunk: memoryview, position: int) -> None:
        try:
            with claim.lock:
                if not claim.lost:
                    with self._partial.disk:
                        if not (is_zero(chunk) and punch(self._descriptor, position, len(chunk))):
                            write_all(self._descriptor, chunk, position)
        except OSError as error:
            raise storage_error(error, self._partial.path) from error

    def _take_aside(self, incoming: ResponseReader, piece: int) -> Steps[bool]:
        """A piece that another connection has in hand too: into memory, and stored only once it is
        verified.
        """
        start, end = self._partial.manifest.span(piece)
        buffer = bytearray()
        while len(buffer) < end - start:
            buffer += yield from incoming.fill(min(CHUNK, end - start - len(buffer)))
        if blake3(buffer).digest() != self._partial.manifest.digest(piece):
            raise VerificationFailed(f"piece {piece} from {self._peer_id} has not its digest")
        try:
            return self._partial.put(piece, memoryview(buffer))
        except OSError as error:
            raise storage_error(error, self._partial.path) from error
