"""Where a request's body waits until all of it is here: in memory, or in a file of the library's disk."""

from __future__ import annotations

import io
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import IO, Protocol

from minga_node.disk import disk_errors, write_sparse

PREFIX = "body-"


class BodyRoom(Protocol):
    """Room on the disk, which one file has while it is being written."""

    def more(self, count: int, /) -> None: ...
    def close(self) -> None: ...


class Spooled(io.FileIO):
    """A complete body in a file, which whoever reads it may have as its own.

    Args:
        room: closed with the file, or when somebody else has it.
    """

    def __init__(self, path: Path, room: BodyRoom) -> None:
        super().__init__(path, "rb")
        self.path, self._room = path, room

    def move_to(self, target: Path) -> None:
        """Gives the file a name elsewhere on its file system; raises OSError."""
        self.path.rename(target)
        self._room.close()

    def close(self) -> None:
        super().close()
        self.path.unlink(missing_ok=True)
        self._room.close()


class Body:
    """Takes a body part by part.

    Args:
        in_memory: bytes up to which no file is made.
        length: what was announced, in bytes; all of it gets its room before a file is made.
    """

    def __init__(
        self, directory: Path, rooms: Callable[[Path], BodyRoom], in_memory: int, length: int | None
    ) -> None:
        self._directory, self._rooms = directory, rooms
        self._in_memory, self._length = in_memory, length
        self._memory = io.BytesIO()
        self._path: Path | None = None
        self._file: IO[bytes] | None = None
        self._room: BodyRoom | None = None

    def add(self, parts: list[bytes]) -> None:
        """Keeps parts of the body. Raises StorageFull, StorageFailed, ReadOnly."""
        for part in parts:
            if self._file is None and self._memory.tell() + len(part) > self._in_memory:
                self._spill()
            if self._file is None:
                self._memory.write(part)
            else:
                self._append(self._file, part)

    def _append(self, file: IO[bytes], part: bytes) -> None:
        if self._length is None and self._room is not None:
            self._room.more(len(part))
        with disk_errors("the body"):
            write_sparse(file, part)

    def _spill(self) -> None:
        path = self._directory / f"{PREFIX}{uuid.uuid4().hex}"
        room = self._rooms(path)
        if self._length is not None:
            room.more(self._length)
        # From here on, discard() has something to do.
        self._path, self._room = path, room
        with disk_errors("the body"):
            # Not what these are in: the directory may have been unmounted.
            self._directory.parent.mkdir(exist_ok=True)
            self._directory.mkdir(exist_ok=True)
            self._file = path.open("xb", buffering=0)
        self._append(self._file, self._memory.getvalue())
        self._memory = io.BytesIO()

    def complete(self) -> IO[bytes]:
        """The whole, to be read from its beginning and closed."""
        if self._file is None or self._path is None or self._room is None:
            self._memory.seek(0)
            return self._memory
        with disk_errors("the body"):
            self._file.truncate()
            self._file.close()
            spooled = Spooled(self._path, self._room)
        self._file = self._path = self._room = None
        return spooled

    def discard(self) -> None:
        """Forgets what has come."""
        if self._file is not None:
            self._file.close()
        if self._path is not None:
            self._path.unlink(missing_ok=True)
        if self._room is not None:
            self._room.close()
        self._file = self._path = self._room = None


def remove_left_over(directory: Path) -> None:
    """Removes what a process left that was killed."""
    with disk_errors(directory.name):
        if directory.is_dir():
            for path in directory.glob(f"{PREFIX}*"):
                path.unlink(missing_ok=True)
