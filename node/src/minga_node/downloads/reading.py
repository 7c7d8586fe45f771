"""Reads a content in order, while it comes or when it is here."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator

from minga_node.downloads.entry import DownloadEntry
from minga_node.downloads.model import Cancelled, DownloadState
from minga_node.downloads.task import Task
from minga_node.errors import NotFound
from minga_node.streams import Pause
from minga_node.uploads import OpenContent
from minga_node.wire import piece_set as sets

CHUNK = 1024 * 1024
AHEAD_SECONDS = 0.5
AHEAD_LEAST = 4
LOOK = 5.0
"""Seconds after which a reader that was told of nothing looks by itself."""

Library = Callable[[str], OpenContent | None]


def read(entry: DownloadEntry, library: Library, start: int, end: int) -> Iterator[bytes | Pause]:
    """Bytes [start, end) of a download, in order, as they come; from the library once it is there. Pauses
    where there is nothing yet: whoever reads may go away meanwhile, and holds no thread.

    Raises:
        NotFound: the download ended without success.
    """
    while True:
        seen = entry.changed.version
        task = entry.task
        if task is not None and not task.ended:
            try:
                for chunk in Reading(task, start, end):
                    if not isinstance(chunk, Pause):
                        start += len(chunk)
                    yield chunk
                return
            except Cancelled:
                continue
        if entry.done.is_set():
            break
        # It waits for its turn, or has just ended: then its state is about to be known.
        yield Pause(LOOK, entry.changed, seen)
    if entry.state is not DownloadState.COMPLETE:
        raise NotFound(entry.error or f"the download of {entry.name} was ended")
    yield from read_local(library, entry.content_id, start, end)


def read_local(library: Library, content_id: str, start: int, end: int) -> Iterator[bytes]:
    """Bytes [start, end) of a content of the library.

    Raises:
        NotFound: it is not there.
    """
    content = library(content_id)
    if content is None:
        raise NotFound("this content is neither here nor on its way")
    try:
        while start < end:
            chunk = os.pread(content.fileno(), min(CHUNK, end - start), start)
            if not chunk:
                return
            start += len(chunk)
            yield chunk
    finally:
        content.close()


class Reading:
    """Bytes [start, end) of a task's content. Pieces at the reader's place are fetched before all others.

    Iterating raises :class:`Cancelled` when the task ends before its content is complete or after its bytes
    have moved into the library.
    """

    def __init__(self, task: Task, start: int, end: int) -> None:
        self._task, self._start, self._end = task, start, end

    def __iter__(self) -> Iterator[bytes | Pause]:
        task, position = self._task, self._start
        descriptor = -1
        try:
            while position < self._end:
                seen = task.changed.signal.version
                reach = self._reach(position)
                if reach == position:
                    yield Pause(LOOK, task.changed.signal, seen)
                    continue
                if descriptor < 0:
                    with task.lock:
                        if task.partial is None or task.partial.closed:
                            raise Cancelled
                        descriptor = os.dup(task.partial.fileno())
                while position < reach:
                    chunk = os.pread(descriptor, min(CHUNK, reach - position), position)
                    if not chunk:
                        raise Cancelled
                    position += len(chunk)
                    yield chunk
        finally:
            if descriptor >= 0:
                os.close(descriptor)

    def _reach(self, position: int) -> int:
        """How far the verified bytes from ``position`` on reach; ``position`` itself if there are none."""
        task = self._task
        with task.lock:
            manifest, swarm, ended = task.manifest, task.swarm, task.ended
            if swarm is None or manifest is None:
                if ended:
                    raise Cancelled
                return position
            piece = position // manifest.piece_size
            last = -(-self._end // manifest.piece_size)
            run = sets.run_from(swarm.have, piece, last - piece)
            window = max(AHEAD_LEAST, int(swarm.rate.pieces(time.monotonic()) * AHEAD_SECONDS))
        if run < min(window, last - piece):
            task.prefer(sets.all_pieces(min(window, last - piece)) << piece)
        if run:
            return min((piece + run) * manifest.piece_size, self._end)
        if ended:
            raise Cancelled
        return position
