"""What identifies a content: its size and the digest of each of its pieces.

Byte layout of a manifest, network byte order, frozen (a change would change every id)::

    offset  length  field
    0       8       "MINGA" 0x00 0x00 0x01
    8       8       size of the content, bytes
    16      4       piece size, bytes
    20      32 × n  BLAKE3 digest of each piece, n = ceil(size ÷ piece size)

``id = BLAKE3(manifest)``: whoever knows the id can verify the manifest and with it every piece, from anyone.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from blake3 import blake3

from minga_node.errors import Conflict, VerificationFailed

MAGIC = b"MINGA\x00\x00\x01"
DIGEST_BYTES = 32
HEADER = struct.Struct(">8sQI")
SMALLEST_PIECE_BYTES = 64 * 1024
LARGEST_PIECE_BYTES = 32 * 1024 * 1024
MOST_PIECES = 2048
READ_BYTES = 1024 * 1024
PARALLEL_FROM_BYTES = 64 * 1024 * 1024


def piece_size(size: int) -> int:
    """Bytes of each piece but the last: the least power of two that makes fewer than 2048 pieces.

    At least 64 KiB and at most 32 MiB, so a content of 128 MiB to 64 GiB has 1024 to 2047 pieces: a piece can
    only be passed on once all of it is here, so with half of them each hop through a swarm takes twice as
    long (docs/performance.md). Frozen: equal content must have an equal id wherever it is published.
    """
    piece = SMALLEST_PIECE_BYTES
    while piece < LARGEST_PIECE_BYTES and -(-size // piece) >= MOST_PIECES:
        piece *= 2
    return piece


class HashingCancelled(Exception):
    """``cancelled`` said so while a file was being hashed."""


@dataclass(frozen=True)
class Manifest:
    """Size of a content in bytes, and the 32-byte digest of each piece, concatenated."""

    size: int
    digests: bytes

    def __post_init__(self) -> None:
        if self.size < 0 or len(self.digests) != DIGEST_BYTES * self.pieces:
            raise VerificationFailed(
                f"a content of {self.size} bytes has {self.pieces} pieces, "
                f"not {len(self.digests) / DIGEST_BYTES:g}"
            )

    @cached_property
    def piece_size(self) -> int:
        return piece_size(self.size)

    @cached_property
    def pieces(self) -> int:
        return -(-self.size // self.piece_size)

    @cached_property
    def id(self) -> str:
        """64 hex digits."""
        return blake3(self.encode()).hexdigest()

    def digest(self, piece: int) -> bytes:
        return self.digests[piece * DIGEST_BYTES : (piece + 1) * DIGEST_BYTES]

    def span(self, piece: int) -> tuple[int, int]:
        """First byte of a piece and the one after its last."""
        start = piece * self.piece_size
        return start, min(start + self.piece_size, self.size)

    def encode(self) -> bytes:
        return HEADER.pack(MAGIC, self.size, self.piece_size) + self.digests

    @classmethod
    def decode(cls, data: bytes, expected_id: str | None = None) -> Manifest:
        """The manifest in these bytes.

        Raises:
            VerificationFailed: not a manifest, or not the one of ``expected_id``.
        """
        if expected_id is not None and blake3(data).hexdigest() != expected_id:
            raise VerificationFailed(f"these bytes are not the manifest of {expected_id}")
        try:
            magic, size, piece = HEADER.unpack_from(data)
        except struct.error:
            raise VerificationFailed("a manifest has at least 20 bytes") from None
        if magic != MAGIC:
            raise VerificationFailed("not a manifest that this version knows")
        manifest = cls(size, data[HEADER.size :])
        if piece != manifest.piece_size:
            raise VerificationFailed(
                f"a content of {size} bytes has pieces of {manifest.piece_size}, not {piece}"
            )
        return manifest

    @classmethod
    def of_one_piece(cls, content: bytes | bytearray | memoryview) -> Manifest:
        """The manifest of a content that is at most one piece of the smallest size."""
        if len(content) > SMALLEST_PIECE_BYTES:
            raise ValueError(f"{len(content)} bytes are more than one piece")
        return cls(len(content), blake3(content).digest() if len(content) else b"")


def hash_file(path: Path, *, cancelled: Callable[[], bool] = lambda: False) -> Manifest:
    """:func:`hash_open` of the file at a path."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return hash_open(descriptor, path.name, cancelled=cancelled)
    finally:
        os.close(descriptor)


def hash_open(descriptor: int, name: str, *, cancelled: Callable[[], bool] = lambda: False) -> Manifest:
    """Reads an open file once, a megabyte at a time, big files on several threads.

    Raises:
        Conflict: the file became shorter or longer meanwhile.
        HashingCancelled: ``cancelled`` returned True.
        OSError: the file cannot be read.
    """
    size = os.fstat(descriptor).st_size
    piece = piece_size(size)
    pieces = -(-size // piece)
    workers = min(4, os.cpu_count() or 1) if size >= PARALLEL_FROM_BYTES else 1
    if workers == 1:
        digests = _hash_pieces(descriptor, size, range(pieces), cancelled)
    else:
        # Neighbouring parts at the same time, so that reading ahead still sees one sequential reader.
        shares = [range(n, min(n + 8, pieces)) for n in range(0, pieces, 8)]
        with ThreadPoolExecutor(workers, thread_name_prefix="hash") as pool:
            parts = pool.map(lambda share: _hash_pieces(descriptor, size, share, cancelled), shares)
            digests = b"".join(parts)
    if os.fstat(descriptor).st_size != size:
        raise Conflict(f"{name} changed while it was read")
    return Manifest(size, digests)


def _hash_pieces(descriptor: int, size: int, pieces: range, cancelled: Callable[[], bool]) -> bytes:
    piece = piece_size(size)
    buffer = memoryview(bytearray(min(READ_BYTES, piece, max(size, 1))))
    digests = []
    for number in pieces:
        hasher = blake3()
        position, end = number * piece, min((number + 1) * piece, size)
        while position < end:
            if cancelled():
                raise HashingCancelled
            count = os.preadv(descriptor, [buffer[: min(len(buffer), end - position)]], position)
            if count == 0:
                raise Conflict("the file became shorter while it was read")
            hasher.update(buffer[:count])
            position += count
        digests.append(hasher.digest())
    return b"".join(digests)
