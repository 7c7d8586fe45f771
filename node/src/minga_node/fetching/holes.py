"""Pieces that are all zeros, as those of a sparse file are, and the bytes of pieces. Pure."""

from __future__ import annotations

from functools import lru_cache

from blake3 import blake3

from minga_node.manifest import Manifest
from minga_node.wire.piece_set import Pieces


def zeros(manifest: Manifest) -> Pieces:
    """The pieces that are all zeros, as those of a sparse file are; told by their digests."""
    if not manifest.pieces:
        return 0
    last = manifest.pieces - 1
    full = zero_digest(manifest.piece_size)
    found = 0
    for piece in range(last):
        if manifest.digest(piece) == full:
            found |= 1 << piece
    start, end = manifest.span(last)
    if manifest.digest(last) == zero_digest(end - start):
        found |= 1 << last
    return found


@lru_cache(64)
def zero_digest(size: int) -> bytes:
    """The digest of so many zeros."""
    return blake3(bytes(size)).digest()


def pieces_bytes(manifest: Manifest, pieces: Pieces) -> int:
    """Bytes of some pieces; only the last may be shorter than the others."""
    total = pieces.bit_count() * manifest.piece_size
    if manifest.pieces and pieces >> (manifest.pieces - 1) & 1:
        total -= manifest.pieces * manifest.piece_size - manifest.size
    return total
