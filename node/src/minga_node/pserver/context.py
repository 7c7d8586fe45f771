"""What a service is told of the call that it answers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


class Context:
    """What a service may ask and do about one call. Any thread may call ``cancel``.

    Args:
        party: whose call it is, see :func:`.calls.caller`.
    """

    def __init__(self, cancel: Callable[[], object], pool: ThreadPoolExecutor, party: str) -> None:
        self._loop = asyncio.get_running_loop()
        self._cancel, self._pool, self._party = cancel, pool, party

    def peer(self) -> str:
        """The party that calls."""
        return self._party

    def cancel(self) -> None:
        """Ends the call."""
        self._loop.call_soon_threadsafe(self._cancel)

    async def blocking(self, work: Callable[[], T], undo: Callable[[T], object] | None = None) -> T:
        """What ``work`` returns, done on another thread.

        ``undo`` is for what it returns where the call has ended meanwhile.
        """
        future = self._loop.run_in_executor(self._pool, work)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            if not future.cancelled():
                future.add_done_callback(lambda ended: self._ended(ended, undo))
            raise

    def _ended(self, future: asyncio.Future[T], undo: Callable[[T], object] | None) -> None:
        if not future.cancelled() and future.exception() is None and undo is not None:
            result, take_back = future.result(), undo
            self._loop.run_in_executor(self._pool, lambda: take_back(result))
