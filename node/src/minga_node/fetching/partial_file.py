"""A content that is being brought here: a file with its room reserved and a bitmap of its verified pieces."""

from __future__ import annotations

import errno
import mmap
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from blake3 import blake3

from minga_node.capacity import Capacity
from minga_node.errors import StorageFailed, StorageFull
from minga_node.fetching.disk_load import DiskLoad
from minga_node.fetching.holes import pieces_bytes, zeros
from minga_node.fetching.left import Left, looks, remove_partial
from minga_node.manifest import Manifest
from minga_node.wire import piece_set as sets
from minga_node.wire.piece_set import Pieces

RESERVED_AT_ONCE = 8 * 1024 * 1024
"""Bytes; a file system may let nobody write meanwhile."""
PARTS = 32
"""Steps in which room is reserved, at most."""


@dataclass(slots=True, eq=False)
class Claim:
    """The right of one receiver to write the bytes of one piece."""

    piece: int
    lock: threading.Lock = field(default_factory=threading.Lock)
    """Held while it is used."""
    lost: bool = False
    """Another receiver has stored the piece."""


class PartialFile:
    """``<directory>/<id>`` holds the bytes, ``<directory>/<id>.pieces`` one bit a verified piece.

    The bitmap is mapped, so that a kill loses nothing that was marked. What was marked is hashed again when
    the file is opened, since after a power cut the bitmap may be ahead of the bytes. The bytes are written
    by ``pwrite`` out of a buffer in the processor's cache: measured, that costs less than the page faults of
    a mapped file.

    Args:
        capacity: how much may be kept.
        left: what :attr:`left` was when this process closed it.

    Raises:
        StorageFull, StorageFailed: the disk says no.
    """

    def __init__(
        self,
        directory: Path,
        manifest: Manifest,
        capacity: Capacity | None = None,
        left: Left | None = None,
    ) -> None:
        self.manifest = manifest
        self._capacity = capacity or Capacity(directory)
        self.path = directory / manifest.id
        self._bitmap_path = directory / f"{manifest.id}.pieces"
        self._lock = threading.Lock()
        self._claims: dict[int, Claim] = {}
        self.disk = DiskLoad()
        """Around all that waits for the disk."""
        self.closed = False
        self.left = left
        """How it was closed; of this process alone."""
        self._descriptor_lock = threading.Lock()
        """Held while the descriptor is copied or closed, never while anything is written."""
        try:
            # Not what it is in: where that is missing, so is the directory that it belongs to.
            directory.mkdir(exist_ok=True)
            self._open()
        except OSError as error:
            if not self.path.exists() or not self.path.stat().st_size:
                self.path.unlink(missing_ok=True)
                self._bitmap_path.unlink(missing_ok=True)
            raise storage_error(error, self.path) from error

    def _open(self) -> None:
        size, length = self.manifest.size, max(1, -(-self.manifest.pieces // 8))
        self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fresh = os.fstat(self._descriptor).st_size != size
            if fresh:
                os.ftruncate(self._descriptor, 0)
                os.ftruncate(self._descriptor, size)
            bitmap = os.open(self._bitmap_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                if fresh or os.fstat(bitmap).st_size != length:
                    os.ftruncate(bitmap, 0)
                    os.posix_fallocate(bitmap, 0, length)
                self._bitmap = mmap.mmap(bitmap, length)
            finally:
                os.close(bitmap)
        except OSError:
            os.ftruncate(self._descriptor, 0)
            os.close(self._descriptor)
            raise
        self._have = 0
        if self.left is not None and not fresh and self.left.is_of(self._descriptor):
            self._have = self.left.have
            self._bitmap[:] = sets.to_bytes(self._have, 8 * len(self._bitmap))
        else:
            self._check(sets.from_bytes(self._bitmap[:], self.manifest.pieces))
        self._resumed = bool(self._have)
        self._holes = zeros(self.manifest)
        if fresh:
            # A hole is read as zeros: such pieces are here already.
            self._have = self._holes
            self._bitmap[:] = sets.to_bytes(self._have, 8 * len(self._bitmap))

    def _check(self, marked: Pieces) -> None:
        for piece in sets.each(marked):
            start, end = self.manifest.span(piece)
            if blake3(os.pread(self._descriptor, end - start, start)).digest() == self.manifest.digest(piece):
                self._have |= 1 << piece
        self._bitmap[:] = sets.to_bytes(self._have, 8 * len(self._bitmap))

    def reserve(self) -> Iterator[None]:
        """Reserves room for the whole, a part at each step: where room is memory it has to be cleared, and
        that must not hold up the first pieces. Pieces may be written before and meanwhile.

        Raises:
            StorageFull: it does not fit. Unless some was here from an earlier start, its files are gone then
                and its room is free once this is closed, whatever has come meanwhile.
            StorageFailed: anything else the disk cannot do.
        """
        size = self.manifest.size
        part = max(RESERVED_AT_ONCE, -(-size // PARTS))
        try:
            with self._capacity.reserved(self._look_for_room(), self.path.name):
                for start in range(0, size, part):
                    yield
                    self._allocate(start, min(start + part, size))
        except StorageFull:
            if not self._resumed:
                self.remove()
            raise
        except OSError as error:
            if not self._resumed:
                self.remove()
            raise storage_error(error, self.path) from error

    def _allocate(self, start: int, end: int) -> None:
        """Room for the pieces that begin in [start, end), but for those that are holes.

        Raises:
            OSError
        """
        step = self.manifest.piece_size
        first, last = -(-start // step), -(-end // step)
        holes = self._holes >> first & sets.all_pieces(last - first)
        if not holes:
            os.posix_fallocate(self._descriptor, start, end - start)
            return
        for piece in sets.each(sets.all_pieces(last - first) & ~holes):
            begin, stop = self.manifest.span(first + piece)
            os.posix_fallocate(self._descriptor, begin, stop - begin)

    def _look_for_room(self) -> int:
        """Before all room that there is has been taken for what does not fit; returns what is still to take.

        Raises:
            OSError
        """
        disk = os.fstatvfs(self._descriptor)
        here = os.fstat(self._descriptor).st_blocks * 512
        lacking = max(0, self.manifest.size - pieces_bytes(self.manifest, self._holes) - here)
        if lacking > disk.f_bavail * disk.f_frsize:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return lacking

    def fileno(self) -> int:
        return self._descriptor

    def copy_descriptor(self) -> int:
        """A descriptor of its own, which outlives this.

        Raises:
            OSError: it is closed.
        """
        with self._descriptor_lock:
            if self.closed:
                raise OSError(errno.EBADF, os.strerror(errno.EBADF))
            return os.dup(self._descriptor)

    @property
    def have(self) -> Pieces:
        """The verified pieces."""
        return self._have

    @property
    def complete(self) -> bool:
        return self._have == sets.all_pieces(self.manifest.pieces)

    @property
    def verified_bytes(self) -> int:
        return pieces_bytes(self.manifest, self._have)

    def claim(self, piece: int) -> Claim | None:
        """The right to write a piece; None if it is here or another receiver has it in hand."""
        with self._lock:
            if self._have >> piece & 1 or piece in self._claims:
                return None
            claim = self._claims[piece] = Claim(piece)
            return claim

    def release(self, claim: Claim, *, verified: bool) -> None:
        """Ends a claim; a verified piece is marked and from now on visible to others."""
        with self._lock:
            if not claim.lost:
                del self._claims[claim.piece]
                if verified:
                    self._mark(claim.piece)

    def put(self, piece: int, data: memoryview) -> bool:
        """Stores a piece verified elsewhere; whoever has a claim on it loses that. Whether it is here now.

        Raises:
            OSError
        """
        with self._lock:
            if self._have >> piece & 1:
                return True
            if self.closed:
                return False
            claim = self._claims.get(piece)
            if claim is not None:
                with claim.lock:
                    claim.lost = True
                del self._claims[piece]
            with self.disk:
                write_all(self._descriptor, data, self.manifest.span(piece)[0])
            self._mark(piece)
            return True

    def _mark(self, piece: int) -> None:
        if self.closed:
            return
        self._have |= 1 << piece
        self._bitmap[piece // 8] |= 1 << piece % 8

    def sync(self) -> None:
        """Everything on the disk.

        Raises:
            StorageFull, StorageFailed: the disk says no.
        """
        try:
            with self.disk:
                os.fdatasync(self._descriptor)
        except OSError as error:
            raise storage_error(error, self.path) from error

    def close(self) -> None:
        """No more writing. The bytes stay for the next start."""
        with self._lock:
            if self.closed:
                return
            self.left = Left(looks(self._descriptor), self._have)
            self._bitmap.close()
            with self._descriptor_lock:
                self.closed = True
                os.close(self._descriptor)

    def remove(self) -> None:
        """Takes both files away."""
        remove_partial(self.path.parent, self.manifest.id)

    def forget_bitmap(self) -> None:
        """The bytes have moved into the library; only the bitmap is left to remove."""
        self._bitmap_path.unlink(missing_ok=True)


def write_all(descriptor: int, data: memoryview, position: int) -> None:
    """Writes all of it at a place.

    Raises:
        OSError
    """
    while data:
        count = os.pwrite(descriptor, data, position)
        position += count
        data = data[count:]


def storage_error(error: OSError, path: Path) -> StorageFull | StorageFailed:
    if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
        return StorageFull(f"no room on the disk for {path.name}")
    return StorageFailed(f"{path.name}: {error.strerror or error}")
