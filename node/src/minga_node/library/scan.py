"""What is on the disk right now: names below a directory and their signatures."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from minga_node.names import is_shareable


@dataclass(frozen=True, slots=True)
class Signature:
    """Equal signatures mean equal content: the file need not be hashed again."""

    inode: int
    size: int
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class Found:
    """A regular file that may be shared."""

    name: str
    signature: Signature
    changed: float
    """When the system last saw it change (ctime), seconds since 1970."""

    @property
    def modified_ms(self) -> int:
        return self.signature.mtime_ns // 1_000_000


def look(directory: Path, name: str) -> Found | None:
    """One file, if it is there, regular, readable and inside ``directory``.

    A symbolic link counts as the file it leads to, unless that is outside or hidden.
    """
    path = directory / name
    try:
        status = path.lstat()
        if stat.S_ISLNK(status.st_mode):
            inside = path.resolve(strict=True).relative_to(directory.resolve())
            if not is_shareable(str(inside)):
                return None
            status = path.stat()
    except (OSError, ValueError, RuntimeError):
        # Gone, outside, or a loop of links.
        return None
    return _found(name, status) if stat.S_ISREG(status.st_mode) else None


def _found(name: str, status: os.stat_result) -> Found:
    # SQLite keeps 63 bits of an inode; that is plenty to tell files apart.
    inode = status.st_ino & (2**63 - 1)
    return Found(name, Signature(inode, status.st_size, status.st_mtime_ns), status.st_ctime)


def walk(directory: Path, below: str = "") -> Iterator[Found]:
    """All files that may be shared in ``directory``, or in its part ``below``.

    Links to folders are skipped: they may lead in circles.
    """
    pending = [below]
    while pending:
        folder = pending.pop()
        try:
            entries = list(os.scandir(directory / folder))
        except OSError:
            continue
        for entry in entries:
            name = f"{folder}/{entry.name}" if folder else entry.name
            if not is_shareable(name):
                continue
            try:
                if entry.is_dir(follow_symlinks=False):
                    pending.append(name)
                elif entry.is_symlink():
                    if (found := look(directory, name)) is not None:
                        yield found
                elif entry.is_file(follow_symlinks=False):
                    yield _found(name, entry.stat(follow_symlinks=False))
            except OSError:
                continue
