"""What is in the library, in memory: its files by name and by id, as they looked when they were shared."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from minga_node.errors import NotFound
from minga_node.library.scan import Signature
from minga_node.metrics import LIBRARY_BYTES, LIBRARY_FILES
from minga_node.model import LocalFile


@dataclass(frozen=True, slots=True)
class Shared:
    """A file and how it looked when it was shared."""

    signature: Signature
    file: LocalFile

    def open(self, directory: Path) -> IO[bytes]:
        """The file's bytes.

        Raises:
            NotFound: it is gone, or is not any more what it was.
        """
        name = self.file.name
        try:
            stream = (directory / name).open("rb")
        except OSError:
            raise NotFound(f"{name} is not here any more") from None
        status = os.fstat(stream.fileno())
        now = Signature(status.st_ino & (2**63 - 1), status.st_size, status.st_mtime_ns)
        if now != self.signature:
            stream.close()
            raise NotFound(f"{name} is being changed")
        return stream


class Catalogue:
    """Not thread-safe: the library's lock guards it."""

    def __init__(self) -> None:
        self._entries: dict[str, Shared] = {}
        self._names: dict[str, set[str]] = {}
        self._bytes = 0

    def __contains__(self, name: str) -> bool:
        return name in self._entries

    def get(self, name: str) -> Shared | None:
        return self._entries.get(name)

    def files(self) -> tuple[LocalFile, ...]:
        return tuple(entry.file for entry in self._entries.values())

    def totals(self) -> tuple[int, int]:
        """How many files, and how many bytes they have together."""
        return len(self._entries), self._bytes

    def signatures(self) -> dict[str, Signature]:
        return {name: entry.signature for name, entry in self._entries.items()}

    def names_of(self, identity: str) -> tuple[str, ...]:
        return tuple(sorted(self._names.get(identity, ())))

    def put(self, shared: Shared) -> None:
        """In place of what had the name before."""
        file = shared.file
        self.drop(file.name)
        self._entries[file.name] = shared
        self._names.setdefault(file.id, set()).add(file.name)
        self._bytes += file.size

    def drop(self, name: str) -> None:
        entry = self._entries.pop(name, None)
        if entry is not None:
            self._bytes -= entry.file.size
            names = self._names[entry.file.id]
            names.discard(name)
            if not names:
                del self._names[entry.file.id]

    def measure(self) -> None:
        LIBRARY_FILES.set(len(self._entries))
        LIBRARY_BYTES.set(self._bytes)
