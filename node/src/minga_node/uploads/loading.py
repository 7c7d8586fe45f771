"""What is sent next, where a disk has to be waited for: read on other threads, while others are sent."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future

from minga_node.uploads import page_cache
from minga_node.uploads.blocking import BlockingCalls
from minga_node.uploads.connection import Guard, Served, UploadConnection
from minga_node.uploads.open_contents import OpenContents

QUANTUM = 1024 * 1024
"""Bytes that go at a time, and are looked at before."""


class Loading:
    """Used by the piece listener's thread alone.

    Args:
        blocking: waits for disks.
        attempt: does something for a connection, which an error ends.
        go_on: sends what has been read.
    """

    def __init__(
        self,
        shelf: OpenContents,
        blocking: BlockingCalls,
        attempt: Guard,
        go_on: Callable[[UploadConnection], None],
    ) -> None:
        self._shelf, self._blocking, self._attempt, self._go_on = shelf, blocking, attempt, go_on

    def ready(self, connection: UploadConnection) -> int:
        """Bytes that can be sent next without waiting for a disk, if not more."""
        if (body := connection.in_memory(QUANTUM)) is not None:
            return len(body)
        connection.loaded = b""
        start, end = (
            max(connection.ready, connection.offset),
            min(connection.end, connection.offset + QUANTUM),
        )
        if start < end and connection.request is not None:
            connection.ready = page_cache.ready(connection.request.served.content.fileno(), start, end)
        return connection.ready - connection.offset

    def begin(self, connection: UploadConnection) -> None:
        """Reads what is to be sent next; until it is here the connection waits for nothing else."""
        assert connection.request is not None
        served, start, end = connection.request.served, connection.offset, connection.end
        connection.loading = True
        # It is not closed meanwhile, though the connection may be.
        self._shelf.take(served)
        self._blocking.run(
            lambda: page_cache.load(served.content.fileno(), start, end),
            lambda data: self._end(connection, served, start, data),
        )

    def _end(self, connection: UploadConnection, served: Served, start: int, data: Future[bytes]) -> None:
        connection.loading = False
        self._shelf.give_back(served)
        if not connection.closed:
            self._attempt(connection, self._take, connection, start, data)

    def _take(self, connection: UploadConnection, start: int, data: Future[bytes]) -> None:
        connection.loaded, connection.loaded_at = data.result(), start
        if not connection.loaded:
            raise ConnectionAbortedError("the file became shorter while it was sent")
        self._go_on(connection)
