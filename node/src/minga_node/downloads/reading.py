"""Reads a content in order, while it comes or when it is here."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator

from minga_node.downloads.entry import Entry
from minga_node.downloads.model import Cancelled, DownloadState
from minga_node.downloads.task import Task
from minga_node.errors import NotFound
from minga_node.swarm import pieces as sets
from minga_node.transfer import OpenContent

CHUNK = 1024 * 1024
AHEAD_SECONDS = 0.5
AHEAD_LEAST = 4

Library = Callable[[str], OpenContent | None]


def read(entry: Entry, library: Library, start: int, end: int) -> Iterator[bytes]:
    """Bytes [start, end) of a download, in order, as they come; from the library once it is there.

    Raises:
        NotFound: the download ended without success.
    """
    while entry.task is None and not entry.done.wait(0.02):
        pass
    task = entry.task
    if task is not None:
        try:
            position = start
            for chunk in Reading(task, start, end):
                position += len(chunk)
                yield chunk
            return
        except Cancelled:
            start = position
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

    def __iter__(self) -> Iterator[bytes]:
        task, position = self._task, self._start
        descriptor = -1
        try:
            while position < self._end:
                reach = self._wait_for(position)
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

    def _wait_for(self, position: int) -> int:
        """How far the verified bytes from ``position`` on reach; waits until there are some."""
        task = self._task
        with task.lock:
            while task.swarm is None or task.manifest is None:
                if task.ended:
                    raise Cancelled
                task.changed.wait(1.0)
            manifest, swarm = task.manifest, task.swarm
            piece = position // manifest.piece_size
            last = -(-self._end // manifest.piece_size)
        while True:
            with task.lock:
                run = sets.run_from(swarm.have, piece, last - piece)
                ended = task.ended
                window = max(AHEAD_LEAST, int(swarm.rate.pieces(time.monotonic()) * AHEAD_SECONDS))
            if run < min(window, last - piece):
                task.prefer(sets.all_pieces(min(window, last - piece)) << piece)
            if run:
                return min((piece + run) * manifest.piece_size, self._end)
            if ended:
                raise Cancelled
            with task.lock:
                if not swarm.have >> piece & 1 and not task.ended:
                    task.changed.wait(1.0)
