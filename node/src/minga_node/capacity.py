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
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from minga_node.disk import disk_errors
from minga_node.errors import StorageFull

_BLOCK = 512
"""Unit of ``st_blocks``, whatever the file system's own is."""
_KEPT_SECONDS = 5.0
"""How long a count holds at least."""
_ANEW_SECONDS = 0.5
"""So soon it is not counted anew even for who would be refused."""
_UNIT = 4096
"""What a file takes on most file systems is a multiple of this."""
_SHARE = 20
"""A count holds this many times as long as it took: a huge directory must not keep a core busy."""


@dataclass(frozen=True, slots=True)
class Disk:
    """The disk as the node may use it, in bytes."""

    total: int
    free: int


class Capacity:
    """Thread-safe.

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
        # The lock guards these: a count, when it was made and how long it holds, what was written since, and
        # what is being written.
        self._counted = 0
        self._when = self._until = float("-inf")
        self._since = 0
        self._reserved = 0

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

    @contextmanager
    def reserved(self, size: int, name: str) -> Iterator[Callable[[int], None]]:
        """Room for a file, for as long as it is being written. What is yielded asks for so many bytes more.

        Raises:
            StorageFull: it would be more than the limit.
        """
        taken = 0

        def more(count: int) -> None:
            nonlocal taken
            self._reserve(count, name)
            taken += count

        try:
            more(-(-size // _UNIT) * _UNIT)
            yield more
        finally:
            with self._lock:
                self._reserved -= taken
                self._since += taken

    def check(self, size: int, name: str) -> None:
        """Whether so much more may be written now.

        Raises:
            StorageFull: it would be more than the limit.
        """
        with self.reserved(size, name):
            pass

    def _reserve(self, count: int, name: str) -> None:
        limit = self._limit()
        with self._lock:
            if limit and self._taken(anew=False) + count > limit and self._taken(anew=True) + count > limit:
                left = max(0, limit - self._taken(anew=False))
                raise StorageFull(f"{name}: it takes {count} bytes, and {left} of {limit} are left")
            self._reserved += count

    def _taken(self, *, anew: bool) -> int:
        """The lock is held."""
        now = self._clock()
        if now >= self._until or (anew and now >= self._when + _ANEW_SECONDS):
            self._counted = _count(self._directory)
            took = self._clock() - now
            self._when, self._until = now, now + max(_KEPT_SECONDS, _SHARE * took)
            self._since = 0
        return self._counted + self._since + self._reserved


def _count(directory: Path) -> int:
    """Bytes on the disk of all files below, but for what is mounted there: `du -x`."""
    device = directory.stat().st_dev
    mounted = mount_points(directory)
    total, folders = 0, [str(directory)]
    while folders:
        with disk_errors("the library"), os.scandir(folders.pop()) as entries:
            for entry in entries:
                try:
                    found = entry.stat(follow_symlinks=False)
                    if found.st_dev != device or entry.path in mounted:
                        continue
                    total += found.st_blocks * _BLOCK
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
