"""What the piece listener can serve: files of the library and what has come of running downloads."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

from blake3 import blake3

from minga_node.errors import DirectoryAway
from minga_node.fetching import PartialFile
from minga_node.fetching.left import Left
from minga_node.uploads import Contents, OpenContent
from minga_node.uploads.connection import Opener
from minga_node.wire import piece_set as sets
from minga_node.wire.piece_set import Pieces


class CompleteContent:
    """A whole file, by a descriptor that it owns."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.size = os.fstat(descriptor).st_size
        self.available: Pieces | None = None
        self.data: bytes | None = None

    def fileno(self) -> int:
        return self._descriptor

    def close(self) -> None:
        os.close(self._descriptor)


class SmallContent:
    """A whole file that was read, since it is small."""

    available: Pieces | None = None

    def __init__(self, data: bytes) -> None:
        self.data: bytes | None = data
        self.size = len(data)

    def fileno(self) -> int:
        raise ValueError("it is in memory")

    def close(self) -> None:
        pass


class PartialContent:
    """The verified pieces of a partial file; a descriptor of its own outlives the download."""

    data: bytes | None = None

    def __init__(self, partial: PartialFile) -> None:
        self._partial = partial
        self._descriptor = partial.copy_descriptor()
        self.size = partial.manifest.size

    @property
    def available(self) -> Pieces | None:
        return self._partial.have

    def fileno(self) -> int:
        return self._descriptor

    def close(self) -> None:
        os.close(self._descriptor)


class ParkedContent:
    """The verified pieces of a download that waits, by a descriptor of its own.

    Raises:
        OSError: nothing is here, or it is not as it was left.
    """

    data: bytes | None = None

    def __init__(self, path: Path, left: Left) -> None:
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        if not left.is_of(self._descriptor):
            os.close(self._descriptor)
            raise FileNotFoundError(path)
        self.size = os.fstat(self._descriptor).st_size
        self.available: Pieces | None = left.have

    def fileno(self) -> int:
        return self._descriptor

    def close(self) -> None:
        os.close(self._descriptor)


class AllContents(Contents):
    """What has come of downloads first, then the library's contents.

    Args:
        partial: opens what is here of a download, running or waiting.
        several: opens some of the library's with one look at the directory.
    """

    def __init__(
        self,
        library: Opener,
        partial: Opener,
        several: Callable[[], AbstractContextManager[Opener]] | None = None,
    ) -> None:
        self._library, self._partial = library, partial
        self._several = several or (lambda: nullcontext(library))

    def open(self, content_id: str) -> OpenContent | None:
        return self._open(content_id, self._library)

    @contextmanager
    def several(self) -> Iterator[Opener]:
        with self._several() as library:
            yield lambda content_id: self._open(content_id, library)

    def _open(self, content_id: str, library: Opener) -> OpenContent | None:
        partial = self._partial(content_id)
        if partial is not None:
            return partial
        try:
            return library(content_id)
        except DirectoryAway:
            return None


def copy_pieces(descriptor: int, partial: PartialFile) -> None:
    """Takes over the pieces of a file that are what the manifest says."""
    manifest = partial.manifest
    buffer = memoryview(bytearray(manifest.piece_size))
    for piece in sets.each(sets.all_pieces(manifest.pieces) & ~partial.have):
        start, end = manifest.span(piece)
        view = buffer[: end - start]
        if os.preadv(descriptor, [view], start) == len(view) and blake3(view).digest() == manifest.digest(
            piece
        ):
            partial.put(piece, view)
