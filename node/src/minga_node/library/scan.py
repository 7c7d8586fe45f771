"""What is on the disk right now: names below a directory and their signatures."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from minga_node.beneath import FOLDER
from minga_node.disk import is_executable
from minga_node.library.root import OpenRoot
from minga_node.names import is_shareable

BITS = 2**63 - 1
"""What SQLite keeps of a number; that is plenty to tell files apart."""
LATEST_MS = 253_402_300_799_000
"""The end of the year 9999, after which no calendar here goes."""
GONE = frozenset({
    errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EXDEV, errno.EACCES, errno.EPERM, errno.ENAMETOOLONG,
})  # fmt: skip
"""What the system says where a name leads to nothing that this node may read. Whatever else it says (a stale
handle of a file server, an error of the disk, too many open files) does not mean that the file is gone."""
LOOK = getattr(os, "O_PATH", os.O_RDONLY) | os.O_NOFOLLOW


@dataclass(frozen=True, slots=True)
class Signature:
    """Equal signatures mean equal content: the file need not be hashed again.

    The time of change (ctime) is among them since anybody can set that of modification: an archive unpacked
    over an older version may bring the same one.
    """

    device: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int

    @classmethod
    def of(cls, status: os.stat_result) -> Signature:
        numbers = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
        return cls(*(number & BITS for number in numbers))

    @property
    def moved(self) -> tuple[int, int, int, int]:
        """What of it stays when the file gets another name."""
        return self.device, self.inode, self.size, self.mtime_ns


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A regular file that may be shared."""

    name: str
    signature: Signature
    changed: float
    """When the system last saw it change (ctime), seconds since 1970."""
    modified_ms: int
    """Milliseconds since 1970, within what a calendar has."""
    path: str
    """Where it is; another than its name where that is a symbolic link."""
    executable: bool = False


def look(root: OpenRoot, name: str) -> FoundFile | None:
    """One file, if it is there, regular and inside.

    A symbolic link counts as the file it leads to, unless that is outside or hidden. A link to a folder is
    not followed.
    """
    path = name
    try:
        status = _status(root, name)
        if stat.S_ISLNK(status.st_mode):
            inside = (root.path / name).resolve(strict=True).relative_to(root.path.resolve())
            path = str(inside)
            if not is_shareable(path):
                return None
            status = _status(root, path)
    except (OSError, ValueError, RuntimeError):
        # Gone, outside, or a loop of links.
        return None
    return _found(name, status, path) if stat.S_ISREG(status.st_mode) else None


def doubt(root: OpenRoot, name: str) -> str | None:
    """Why it cannot be said whether there is a file of that name; None where it can."""
    try:
        _status(root, name)
    except OSError as error:
        return None if error.errno in GONE else error.strerror or str(error)
    return None


def is_spelled_so(root: OpenRoot, name: str) -> bool:
    """Whether what is found by a name has that very name: some file systems take ``a`` and ``A`` for one."""
    above = ""
    for part in name.split("/"):
        try:
            if part not in names_in(root, above):
                return False
        except OSError:
            return True
        above = f"{above}/{part}" if above else part
    return True


def names_in(root: OpenRoot, folder: str) -> set[str]:
    """The names in a folder. Raises OSError."""
    descriptor = root.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with os.scandir(descriptor) as entries:
            return {entry.name for entry in entries}
    finally:
        os.close(descriptor)


def _status(root: OpenRoot, name: str) -> os.stat_result:
    descriptor = root.open(name, LOOK)
    try:
        return os.fstat(descriptor)
    finally:
        os.close(descriptor)


def is_folder(root: OpenRoot, name: str) -> bool:
    """Whether there is a folder of that name, and no link to one."""
    try:
        return stat.S_ISDIR(_status(root, name).st_mode)
    except OSError:
        return False


def _found(name: str, status: os.stat_result, path: str = "") -> FoundFile:
    modified_ms = min(max(status.st_mtime_ns // 1_000_000, 0), LATEST_MS)
    signature, executable = Signature.of(status), is_executable(status)
    return FoundFile(name, signature, status.st_ctime, modified_ms, path or name, executable)


def walk(
    root: OpenRoot,
    below: str = "",
    unshareable: Callable[[str], object] = lambda _name: None,
    volume: Callable[[str, int], object] = lambda _folder, _device: None,
) -> Iterator[FoundFile]:
    """All files that may be shared in the directory, or in its part ``below``.

    Links to folders are skipped: they may lead in circles. ``unshareable`` is told of names that cannot be
    shared though they are not hidden, ``volume`` of folders on another device than what they are in, and of
    that.
    """
    pending: list[tuple[str, int]] = [(below, -1)]
    while pending:
        folder, above = pending.pop()
        try:
            descriptor = root.open(folder, FOLDER & ~getattr(os, "O_PATH", 0))
        except OSError:
            continue
        try:
            device = os.fstat(descriptor).st_dev
            if above not in {-1, device}:
                volume(folder, device)
            with os.scandir(descriptor) as entries:
                for entry in entries:
                    name = f"{folder}/{entry.name}" if folder else entry.name
                    if not is_shareable(name):
                        if not entry.name.startswith("."):
                            unshareable(name)
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        pending.append((name, device))
                    elif (found := _entry(root, entry, name)) is not None:
                        yield found
        except OSError:
            continue
        finally:
            os.close(descriptor)


def _entry(root: OpenRoot, entry: os.DirEntry[str], name: str) -> FoundFile | None:
    """The file that an entry of a folder is."""
    try:
        if entry.is_symlink():
            return look(root, name)
        if entry.is_file(follow_symlinks=False):
            return _found(name, entry.stat(follow_symlinks=False))
    except OSError:
        pass
    return None
