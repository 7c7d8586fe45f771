"""Where a request's body waits until all of it is here: in memory, or in a file of the library's disk."""

from __future__ import annotations

import io
import uuid
from pathlib import Path
from typing import IO

from minga_node.disk import disk_errors

PREFIX = "body-"


class Spooled(io.FileIO):
    """A complete body in a file, which whoever reads it may have as its own."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, "rb")
        self.path = path

    def move_to(self, target: Path) -> None:
        """Gives the file a name elsewhere on its file system; raises OSError."""
        self.path.rename(target)

    def close(self) -> None:
        super().close()
        self.path.unlink(missing_ok=True)


class Body:
    """Takes a body part by part.

    Args:
        in_memory: bytes up to which no file is made.
    """

    def __init__(self, directory: Path, in_memory: int) -> None:
        self._directory, self._in_memory = directory, in_memory
        self._memory = io.BytesIO()
        self._path: Path | None = None
        self._file: IO[bytes] | None = None

    def add(self, parts: list[bytes]) -> None:
        """Raises StorageFull, StorageFailed, ReadOnly."""
        for part in parts:
            if self._file is None and self._memory.tell() + len(part) > self._in_memory:
                self._spill()
            if self._file is None:
                self._memory.write(part)
            else:
                with disk_errors("the body"):
                    _write(self._file, part)

    def _spill(self) -> None:
        with disk_errors("the body"):
            # Not what these are in: the directory may have been unmounted.
            self._directory.parent.mkdir(exist_ok=True)
            self._directory.mkdir(exist_ok=True)
            self._path = self._directory / f"{PREFIX}{uuid.uuid4().hex}"
            self._file = self._path.open("xb", buffering=0)
            _write(self._file, self._memory.getvalue())
        self._memory = io.BytesIO()

    def complete(self) -> IO[bytes]:
        """The whole, to be read from its beginning and closed."""
        if self._file is None or self._path is None:
            self._memory.seek(0)
            return self._memory
        self._file.close()
        with disk_errors("the body"):
            spooled = Spooled(self._path)
        self._file = self._path = None
        return spooled

    def discard(self) -> None:
        """Forgets what has come."""
        if self._file is not None and self._path is not None:
            self._file.close()
            self._path.unlink(missing_ok=True)
            self._file = self._path = None


def remove_left_over(directory: Path) -> None:
    """Removes what a process left that was killed."""
    with disk_errors(directory.name):
        if directory.is_dir():
            for path in directory.glob(f"{PREFIX}*"):
                path.unlink(missing_ok=True)


def _write(file: IO[bytes], data: bytes) -> None:
    """All of it: a file without a buffer may take less."""
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]
