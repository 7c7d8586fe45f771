"""Files of the network as a tar stream, sent while they are still being fetched."""

from __future__ import annotations

import errno
import logging
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from minga_node import tar
from minga_node.downloads import SmallFile
from minga_node.errors import MingaError, NotFound
from minga_node.manifest import SMALLEST_PIECE_BYTES
from minga_node.metrics import BYTES
from minga_node.model import FileRow
from minga_node.server.downloads import label
from minga_node.server.services import Services
from minga_node.streams import Pause

log = logging.getLogger(__name__)

BLOCK_BYTES = 256 * 1024
"""Bytes sent at a time, where there are so many."""
AT_ONCE = 2
"""Bigger files that are fetched while the first of them is sent."""


class Packing:
    """Makes streams; what cannot be had breaks them off, so that nobody takes a part for the whole."""

    def __init__(self, services: Services) -> None:
        self._library, self._downloads = services.library, services.downloads

    def everything(self, rows: Sequence[FileRow]) -> Iterator[bytes | Pause]:
        """Some files of the network: first those that are here, then the small ones, then the others."""
        return _whole(_gathered(self._everything(rows)))

    def batch(self, identity: str) -> Iterator[bytes | Pause]:
        """The files of a batch, as they are here.

        Raises:
            NotFound: there is no such batch.
        """
        return _whole(_gathered(self._batch(identity, self._downloads.taking(identity))))

    def _everything(self, rows: Sequence[FileRow]) -> Iterator[bytes | Pause | None]:
        small: list[SmallFile] = []
        big: list[FileRow] = []
        for row in rows:
            if self._library.names_of(row.id):
                yield from self._local(row.name, row.id)
            elif row.size <= SMALLEST_PIECE_BYTES:
                small.append(SmallFile(row.id, row.name, row.size))
            else:
                big.append(row)
        if small:
            identity = self._downloads.start_many(small, label(small)).id
            yield from self._batch(identity, self._downloads.taking(identity))
        ahead = iter(big)
        started = [self._begin(row) for row in islice(ahead, AT_ONCE)]
        while started:
            yield from self._coming(started.pop(0))
            started += [self._begin(row) for row in islice(ahead, 1)]

    def _batch(
        self, identity: str, groups: Iterable[Sequence[SmallFile] | Pause]
    ) -> Iterator[bytes | Pause | None]:
        for group in groups:
            if isinstance(group, Pause):
                yield group
                continue
            for file in group:
                yield from self._local(file.name, file.content_id)
            yield None
        download = self._downloads.get(identity)
        if download.verified_pieces != download.pieces:
            raise NotFound(download.error or f"the batch is {download.state}")

    def _begin(self, row: FileRow) -> FileRow:
        self._downloads.start(row.id, row.name)
        return row

    def _coming(self, row: FileRow) -> Iterator[bytes | Pause]:
        yield tar.header(row.name, row.size, row.modified_ms, row.id, executable=row.executable)
        yield from self._downloads.reading(row.id, 0, row.size)
        yield tar.padding(row.size)

    def _local(self, name: str, identity: str) -> Iterator[bytes]:
        opened = self._library.open_id(identity)
        if opened is None:
            raise NotFound(f"{name} was taken away")
        file, own = opened.file, self._library.find(name)
        if own is not None and own.id == file.id:
            # The content may have been opened by another of its names, which has other attributes.
            file = own
        with opened.stream as stream:
            yield tar.header(name, file.size, file.modified_ms, file.id, executable=file.executable)
            left = file.size
            while left:
                chunk = stream.read(min(left, BLOCK_BYTES))
                if not chunk:
                    raise NotFound(f"{name} is being changed")
                left -= len(chunk)
                yield chunk
            yield tar.padding(file.size)


def _gathered(parts: Iterable[bytes | Pause | None]) -> Iterator[bytes | Pause]:
    """The same bytes in fewer parts, with the end of the archive behind them.

    ``None`` among the parts says that the next one may take a while.
    """
    counter = BYTES.labels("out", "client")
    waiting: list[bytes] = []
    size = 0
    # The client knows at once that there is an archive to come.
    yield b""
    try:
        for part in parts:
            if isinstance(part, bytes):
                waiting.append(part)
                size += len(part)
            if size >= BLOCK_BYTES or not isinstance(part, bytes):
                counter.inc(size)
                yield b"".join(waiting)
                waiting, size = [], 0
            if isinstance(part, Pause):
                yield part
    except MingaError:
        yield b"".join(waiting)
        raise
    yield b"".join([*waiting, tar.END])


def _whole(stream: Iterator[bytes | Pause]) -> Iterator[bytes | Pause]:
    """A stream that ends as a broken connection does, not as if it were complete, when it cannot go on."""
    try:
        yield from stream
    except MingaError as error:
        log.warning("an archive breaks off: %s", error)
        raise ConnectionResetError(errno.ECONNRESET, str(error)) from error
