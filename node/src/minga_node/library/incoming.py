"""What somebody sends, on its way to a finished and synced file that only needs its name."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import IO, Protocol, runtime_checkable

from minga_node.disk import disk_errors, write_sparse
from minga_node.errors import BadRequest
from minga_node.library.root import Root

COPY_BYTES = 1024 * 1024


@runtime_checkable
class Movable(Protocol):
    """A body that is a file of this folder already, and may be had as such."""

    def move_to(self, target: Path, /) -> None: ...
    def seek(self, offset: int, whence: int, /) -> int: ...
    def fileno(self) -> int: ...


class IncomingFolder:
    """The folder where it waits, inside the node's own one: on the library's file system."""

    def __init__(self, own: Path, root: Root) -> None:
        self.path = own / "incoming"
        self._root = root

    def new(self, name: str) -> Path:
        """A path that nothing has, for a file that is to be called ``name``.

        Raises:
            StorageFull, ReadOnly, NotFound: of the folder, which is made where it is missing.
            DirectoryAway
        """
        self._root.make_own()
        with disk_errors(name):
            self.path.mkdir(exist_ok=True)
        return self.path / uuid.uuid4().hex


def write(partial: Path, name: str, body: IO[bytes], length: int | None, more: Callable[[int], None]) -> None:
    """Writes a body to a new file and syncs it; ``length`` is what the sender announced, in bytes.

    Where nothing was announced, ``more`` is asked for the room of each part.

    Raises:
        BadRequest: it ended before.
        StorageFull, ReadOnly
    """
    if isinstance(body, Movable):
        with disk_errors(name):
            size = body.seek(0, os.SEEK_END)
            if length is not None and size != length:
                raise BadRequest(f"the body ended after {size} of {length} bytes")
            os.fsync(body.fileno())
            body.move_to(partial)
        return
    with disk_errors(name), partial.open("xb") as out:
        received = 0
        while chunk := _read(body, length, received):
            if length is None:
                more(len(chunk))
            write_sparse(out, chunk)
            received += len(chunk)
        if length is not None and received != length:
            raise BadRequest(f"the body ended after {received} of {length} bytes")
        out.truncate()
        out.flush()
        os.fsync(out.fileno())


def _read(body: IO[bytes], length: int | None, received: int) -> bytes:
    wanted = COPY_BYTES if length is None else min(COPY_BYTES, length - received)
    return body.read(wanted) if wanted else b""
