"""What is in the library, in memory: its files by name and by id, as they looked when they were shared."""

from __future__ import annotations

import os
import stat
import threading
from dataclasses import dataclass
from typing import IO

from minga_node.descriptors import exhausted
from minga_node.errors import Busy, NotFound
from minga_node.library.root import OpenRoot
from minga_node.library.scan import Signature
from minga_node.metrics import LIBRARY_BYTES, LIBRARY_FILES
from minga_node.model import LocalFile


def open_same(root: OpenRoot, path: str, signature: Signature) -> int | None:
    """A descriptor of the file at ``path``; None where it is not any more what it was.

    Raises:
        OSError
    """
    # What is a pipe by now must not hold up who opens it.
    descriptor = root.open(path, os.O_RDONLY | os.O_NONBLOCK)
    status = os.fstat(descriptor)
    if stat.S_ISREG(status.st_mode) and Signature.of(status) == signature:
        return descriptor
    os.close(descriptor)
    return None


@dataclass(frozen=True, slots=True)
class Shared:
    """A file and how it looked when it was shared."""

    signature: Signature
    file: LocalFile
    path: str
    """Where it is below the directory; another than its name where that is a symbolic link."""

    def open(self, root: OpenRoot) -> IO[bytes]:
        """The file's bytes. Raises what :meth:`descriptor` does."""
        return os.fdopen(self.descriptor(root), "rb")

    def descriptor(self, root: OpenRoot) -> int:
        """The open file, as it was when it was shared.

        Raises:
            NotFound: it is gone, or is not any more what it was.
            Busy: this node has no descriptor left for it.
        """
        name = self.file.name
        try:
            descriptor = open_same(root, self.path, self.signature)
        except OSError as error:
            if exhausted(error):
                raise Busy(f"too many files are open to open {name}") from error
            raise NotFound(f"{name} is not here any more") from None
        if descriptor is None:
            raise NotFound(f"{name} is being changed")
        return descriptor


@dataclass(frozen=True, slots=True)
class OpenFile:
    """An open file whose bytes are those of :attr:`file`'s id; the caller closes it."""

    stream: IO[bytes]
    file: LocalFile
    signature: Signature

    def unchanged(self) -> bool:
        """Whether the bytes read so far are still those of the id: nobody has written meanwhile."""
        return Signature.of(os.fstat(self.stream.fileno())) == self.signature


class Catalogue:
    """Thread-safe. Its lock is held for looks into memory alone, never while a disk is waited for."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: dict[str, Shared] = {}
        self._names: dict[str, set[str]] = {}
        self._bytes = 0

    def __contains__(self, name: str) -> bool:
        return name in self._entries

    def get(self, name: str) -> Shared | None:
        return self._entries.get(name)

    def files(self) -> tuple[LocalFile, ...]:
        with self._lock:
            return tuple(entry.file for entry in self._entries.values())

    def totals(self) -> tuple[int, int]:
        """How many files, and how many bytes they have together."""
        with self._lock:
            return len(self._entries), self._bytes

    def signatures(self) -> dict[str, Signature]:
        with self._lock:
            return {name: entry.signature for name, entry in self._entries.items()}

    def names_of(self, identity: str) -> tuple[str, ...]:
        with self._lock:
            return tuple(sorted(self._names.get(identity, ())))

    def put(self, shared: Shared) -> None:
        """In place of what had the name before."""
        file = shared.file
        with self._lock:
            self._drop(file.name)
            self._entries[file.name] = shared
            self._names.setdefault(file.id, set()).add(file.name)
            self._bytes += file.size

    def drop(self, name: str) -> None:
        with self._lock:
            self._drop(name)

    def _drop(self, name: str) -> None:
        entry = self._entries.pop(name, None)
        if entry is not None:
            self._bytes -= entry.file.size
            names = self._names[entry.file.id]
            names.discard(name)
            if not names:
                del self._names[entry.file.id]

    def measure(self) -> None:
        files, size = self.totals()
        LIBRARY_FILES.set(files)
        LIBRARY_BYTES.set(size)
