"""The operating system's errors about files, turned into ours."""

from __future__ import annotations

import ctypes
import errno
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from minga_node.errors import Conflict, InvalidName, NotFound, ReadOnly, StorageFailed, StorageFull
from minga_node.model import Attributes

COPY_BYTES = 1024 * 1024
_ZEROS = bytes(COPY_BYTES)


@contextmanager
def disk_errors(what: str) -> Iterator[None]:
    """Turns OSError into StorageFull, ReadOnly, NotFound, Conflict, InvalidName or StorageFailed.

    ``what`` names the file in the message; a path of the machine is never told to a client.
    """
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        match error.errno:
            case errno.ENOSPC | errno.EDQUOT | errno.EFBIG:
                raise StorageFull(f"{what}: {reason}") from error
            case errno.EROFS | errno.EACCES | errno.EPERM:
                raise ReadOnly(f"{what}: {reason}") from error
            case errno.ENOENT:
                raise NotFound(f"{what}: {reason}") from error
            case errno.ENOTDIR | errno.EISDIR | errno.EEXIST | errno.ENOTEMPTY:
                raise Conflict(f"{what}: {reason}") from error
            case errno.ENAMETOOLONG | errno.EILSEQ:
                raise InvalidName(f"{what}: {reason}") from error
            case _:
                raise StorageFailed(f"{what}: {reason}") from error


def sync_filesystem(directory: Path) -> None:
    """Everything that was written to the directory's file system is on the disk: one call for any number of
    files.

    Raises:
        StorageFailed: the disk says no.
    """
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        library = ctypes.CDLL(None, use_errno=True)
        if not hasattr(library, "syncfs"):
            os.sync()
        elif library.syncfs(descriptor):
            raise StorageFailed(f"the disk does not take the files: {os.strerror(ctypes.get_errno())}")
    finally:
        os.close(descriptor)


def set_attributes(file: Path, attributes: Attributes) -> None:
    """Gives a copy the time and the x bit of its original, where the file system takes them.

    Everybody who may read it may run it then, as git does it; no other mode comes from elsewhere.
    """
    with suppress(OSError, OverflowError, ValueError):
        if attributes.executable:
            mode = stat.S_IMODE(file.stat().st_mode)
            file.chmod(mode | (mode & 0o444) >> 2)
        if attributes.modified is not None:
            os.utime(file, (time.time(), attributes.modified))


def is_executable(status: os.stat_result) -> bool:
    """Whether a regular file may be run by anybody."""
    return bool(status.st_mode & 0o111)


def write_sparse(file: IO[bytes], data: bytes) -> None:
    """Appends to a file at its position, or leaves a hole where the data is all zeros.

    Who is done truncates the file where it is then, since holes at its end do not make it longer. Files
    without a buffer may take less at once: it goes on.

    Raises:
        OSError
    """
    for start in range(0, len(data), COPY_BYTES):
        part = data[start : start + COPY_BYTES]
        # Most are told by their first byte.
        if not part[0] and part == _ZEROS[: len(part)]:
            file.seek(len(part), os.SEEK_CUR)
            continue
        written = file.write(part)
        while written < len(part):
            written += file.write(part[written:])


def copy(source: Path, target: int) -> None:
    """Copies bytes, time and rights of a file to an open, empty one, and syncs it; holes stay holes.

    Raises:
        OSError
    """
    descriptor = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
    try:
        status = os.fstat(descriptor)
        for start, end in data_spans(descriptor, status.st_size):
            position = start
            while position < end:
                chunk = os.pread(descriptor, min(COPY_BYTES, end - position), position)
                if not chunk:
                    break
                position += os.pwrite(target, chunk, position)
        os.ftruncate(target, status.st_size)
        os.fchmod(target, status.st_mode & 0o777)
        os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))
        os.fsync(target)
    finally:
        os.close(descriptor)


def data_spans(descriptor: int, size: int) -> Iterator[tuple[int, int]]:
    """Where an open file has bytes, as [start, end); the holes between them are zeros (lseek(2), SEEK_DATA).

    One span for all of it where the file system does not tell.
    """
    end = 0
    while end < size:
        try:
            start = os.lseek(descriptor, end, os.SEEK_DATA)
            end = os.lseek(descriptor, start, os.SEEK_HOLE)
        except OSError as error:
            if error.errno != errno.ENXIO:
                yield end, size
            return
        yield start, end
