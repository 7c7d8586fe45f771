"""How much this node may keep on its disk. One place decides: for uploads, downloads, and what others hear.

A disk that is full says so itself. A limit that is not the file system's it does not say: that of an emptyDir
of Kubernetes, which evicts whoever exceeds it, with all files, or of a volume without quota. So we count.
"""

from __future__ import annotations

import os
import re
import shutil
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from minga_node.disk import disk_errors
from minga_node.errors import StorageFull

_BLOCK_BYTES = 512
"""Unit of ``st_blocks``, whatever the file system's own is."""
_KEPT_SECONDS = 5.0
"""How long a count holds at least."""
_UNIT_BYTES = 4096
"""What a file takes on most file systems is a multiple of this."""
_KEPT_FACTOR = 20
"""A count holds this many times as long as it took: a huge directory must not keep a core busy."""
_KEPT_FACTOR_IF_REFUSED = 4
"""A count holds this many times as long as it took, where somebody would be refused by it."""


@dataclass(frozen=True, slots=True)
class Disk:
    """The disk as the node may use it, in bytes."""

    total: int
    free: int


class Room:
    """Room for a file for as long as it is being written; whoever writes it closes this."""

    def __init__(self, capacity: Capacity, name: str, path: Path | None) -> None:
        self._capacity, self.name = capacity, name
        self.path = None if path is None else str(path)
        """Where it is being written: there a count leaves it out, since its room is counted here."""
        self.taken = 0
        """Bytes."""

    def more(self, count: int) -> None:
        """Takes so many bytes more.

        Raises:
            StorageFull: it would be more than the limit.
        """
        self._capacity.reserve(self, count)

    def close(self) -> None:
        """The file is complete, or gone. May be called again."""
        self._capacity.end(self)


class Capacity:
    """How much this node may still keep. Any thread may ask.

    Args:
        directory: where the files are.
        limit: bytes that all files below it may take together, 0 for no limit but the disk's.
    """

    def __init__(
        self,
        directory: Path,
        limit: Callable[[], int] = lambda: 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._directory, self._limit, self._clock = directory, limit, clock
        self._lock = threading.Lock()
        # The lock guards these: a count, until when it holds for everybody and for who would be refused, what
        # was written since, and what is being written.
        self._counted = 0
        self._until = self._until_anew = float("-inf")
        self._since = 0
        self._rooms: set[Room] = set()

    def disk(self) -> Disk:
        """Total and free bytes; none where the directory is away."""
        try:
            found = shutil.disk_usage(self._directory)
        except OSError:
            return Disk(0, 0)
        limit = self._limit()
        if not limit:
            return Disk(found.total, found.free)
        with self._lock:
            taken = self._taken(anew=False)
        return Disk(min(found.total, limit), max(0, min(found.free, limit - taken)))

    def room(self, name: str, path: Path | None = None) -> Room:
        """Room for a file that is to be written at ``path``; none is taken yet, and nothing of the file is
        there. Without a path, what has been written of it counts twice if a count comes meanwhile.
        """
        return Room(self, name, path)

    @contextmanager
    def reserved(self, size: int, name: str, path: Path | None = None) -> Iterator[Room]:
        """Room for a file, for as long as it is being written.

        Raises:
            StorageFull: it would be more than the limit.
        """
        room = self.room(name, path)
        try:
            room.more(-(-size // _UNIT_BYTES) * _UNIT_BYTES)
            yield room
        finally:
            room.close()

    def check(self, size: int, name: str) -> None:
        """Whether so much more may be written now; from then on it counts as written.

        Raises:
            StorageFull: it would be more than the limit.
        """
        with self.reserved(size, name):
            pass

    def fits(self, size: int, name: str) -> None:
        """Whether so much more could be written now; nothing is taken.

        Raises:
            StorageFull: it would be more than the limit.
        """
        limit = self._limit()
        with self._lock:
            self._check(limit, size, name)

    # for rooms

    def reserve(self, room: Room, count: int) -> None:
        limit = self._limit()
        with self._lock:
            self._check(limit, count, room.name)
            self._rooms.add(room)
            room.taken += count

    def end(self, room: Room) -> None:
        with self._lock:
            if room in self._rooms:
                self._rooms.remove(room)
                self._since += room.taken

    def _check(self, limit: int, count: int, name: str) -> None:
        """The lock is held."""
        if limit and self._taken(anew=False) + count > limit and self._taken(anew=True) + count > limit:
            left = max(0, limit - self._taken(anew=False))
            raise StorageFull(f"{name}: it takes {count} bytes, and {left} of {limit} are left")

    def _taken(self, *, anew: bool) -> int:
        """The lock is held."""
        now = self._clock()
        if now >= (self._until_anew if anew else self._until):
            self._counted = _count(self._directory, {room.path for room in self._rooms})
            took = self._clock() - now
            self._until = now + took + max(_KEPT_SECONDS, _KEPT_FACTOR * took)
            self._until_anew = now + took + _KEPT_FACTOR_IF_REFUSED * took
            self._since = 0
        return self._counted + self._since + sum(room.taken for room in self._rooms)


def _count(directory: Path, besides: Collection[str | None] = ()) -> int:
    """Bytes on the disk of all files below, but for what is mounted there: `du -x`."""
    with disk_errors("the library"):
        device = directory.stat().st_dev
    mounted = mount_points(directory)
    total, folders = 0, [str(directory)]
    while folders:
        with disk_errors("the library"), os.scandir(folders.pop()) as entries:
            for entry in entries:
                try:
                    found = entry.stat(follow_symlinks=False)
                    if found.st_dev != device or entry.path in mounted or entry.path in besides:
                        continue
                    total += found.st_blocks * _BLOCK_BYTES
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
                except FileNotFoundError:
                    continue
    return total


def mount_points(directory: Path, table: Path = Path("/proc/self/mountinfo")) -> frozenset[str]:
    """Folders below at which something is mounted: it may be of the same file system, and not ours to count.

    By proc_pid_mountinfo(5); empty where there is no such table.
    """
    try:
        lines = table.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return frozenset()
    points = (
        re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), line.split(" ")[4]) for line in lines
    )
    inside = f"{str(directory).rstrip('/')}/"
    return frozenset(point for point in points if point.startswith(inside))


class Limit:
    """The limit as it is now: that of a file, which may change while the node runs, else a fixed one."""

    def __init__(self, fixed: int, file: Path | None) -> None:
        self._file, self._known = file, fixed

    def __call__(self) -> int:
        if self._file is not None:
            try:
                self._known = int(self._file.read_text(encoding="ascii"))
            except (OSError, ValueError):
                # While it is being replaced, the number of before holds.
                pass
        return self._known
