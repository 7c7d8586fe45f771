"""The operating system's errors about files, turned into ours."""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from minga_node.errors import Conflict, InvalidName, NotFound, ReadOnly, StorageFailed, StorageFull


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


def sync_directory(path: Path) -> None:
    """Makes renames inside a directory survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


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
