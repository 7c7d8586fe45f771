"""How bytes become a file of the directory: where it may be, and all of it or nothing."""

from __future__ import annotations

import errno
import os
import shutil
import uuid
from pathlib import Path
from typing import IO

from minga_node.disk import disk_errors
from minga_node.errors import BadRequest, Conflict, InvalidName
from minga_node.model import LocalFile
from minga_node.names import check_name

COPY_BYTES = 1024 * 1024


def target(directory: Path, name: str) -> Path:
    """Where a file of that name belongs.

    Raises:
        InvalidName: the name is none, or leads out of the directory.
        Conflict: there is a folder.
    """
    check_name(name)
    found = directory / name
    root = directory.resolve()
    if not found.parent.resolve().is_relative_to(root):
        raise InvalidName(f"{name} leads out of the library")
    if found.is_dir():
        raise Conflict(f"{name} is a folder")
    return found


def write(partial: Path, name: str, body: IO[bytes], length: int | None) -> None:
    """Writes a body to a new file and syncs it; ``length`` is what the sender announced, in bytes.

    Raises:
        BadRequest: it ended before.
        StorageFull, ReadOnly
    """
    with disk_errors(name), partial.open("xb") as out:
        received = 0
        while chunk := _read(body, length, received):
            out.write(chunk)
            received += len(chunk)
        if length is not None and received != length:
            raise BadRequest(f"the body ended after {received} of {length} bytes")
        out.flush()
        os.fsync(out.fileno())


def place(partial: Path, target: Path) -> None:
    """Gives a finished and synced file its name, all at once.

    Where the target is on another file system, as in a volume that is mounted into the directory, nothing can
    be renamed to it from outside: it is copied to a hidden name beside it first.
    """
    try:
        partial.replace(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        beside = target.with_name(f".{uuid.uuid4().hex}")
        try:
            shutil.copyfile(partial, beside)
            with beside.open("rb") as copied:
                os.fsync(copied.fileno())
            beside.replace(target)
        finally:
            beside.unlink(missing_ok=True)
        partial.unlink()


def name_beside(name: str, identity: str, current: LocalFile | None) -> str:
    """The name that a content gets: with its id in it, where other content has that name."""
    if current is None or current.id == identity:
        return name
    stem, dot, ending = name.rpartition(".")
    mark = identity[:8]
    return f"{stem}.{mark}.{ending}" if dot and "/" not in ending else f"{name}.{mark}"


def _read(body: IO[bytes], length: int | None, received: int) -> bytes:
    wanted = COPY_BYTES if length is None else min(COPY_BYTES, length - received)
    return body.read(wanted) if wanted else b""
