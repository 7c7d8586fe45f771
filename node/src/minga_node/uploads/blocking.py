"""What may block is done on other threads, and what came of it is handed back to the loop that asked."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

THREADS = 4
"""So that one disk that does not answer holds up only what is on it."""

T = TypeVar("T")


class BlockingCalls:
    """Used by one loop.

    Args:
        wake: makes the loop call :meth:`deliver`; called from other threads.
    """

    def __init__(self, wake: Callable[[], None], name: str, threads: int = THREADS) -> None:
        self._wake = wake
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._done: deque[Callable[[], None]] = deque()
        self._closed = False

    def run(self, work: Callable[[], T], then: Callable[[Future[T]], None] | None = None) -> None:
        """Does ``work`` on another thread, ``then`` with its result, or its error, on the loop."""
        if self._closed:
            return
        future = self._pool.submit(work)
        if then is not None:
            told = then

            def ready(ended: Future[T]) -> None:
                if not ended.cancelled():
                    self._done.append(lambda: told(ended))
                    self._wake()

            future.add_done_callback(ready)

    def deliver(self) -> None:
        """Hands over what is done; on the loop."""
        for _ in range(len(self._done)):
            self._done.popleft()()

    def close(self) -> None:
        """Begins nothing more and hands nothing more over; waits for nothing."""
        self._closed = True
        self._pool.shutdown(wait=False)
