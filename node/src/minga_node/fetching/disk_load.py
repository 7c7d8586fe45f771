"""How much of their time threads spent in something, lately."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from types import TracebackType

WINDOW = 1.0
"""Seconds looked back on."""


class DiskLoad:
    """A context that measures how long its bodies take, by whatever threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._inside: dict[int, float] = {}
        """When each thread that is inside went in."""
        self._spent: deque[tuple[int, float, float]] = deque()

    def __enter__(self) -> None:
        with self._lock:
            self._inside[threading.get_ident()] = self._clock()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        thread = threading.get_ident()
        with self._lock:
            now = self._clock()
            self._spent.append((thread, self._inside.pop(thread), now))
            self._forget(now - WINDOW)

    def share(self) -> float:
        """The part of the last second that the thread which was inside the longest spent there, 0 to 1."""
        with self._lock:
            now = self._clock()
            since = now - WINDOW
            self._forget(since)
            spent: dict[int, float] = {}
            for thread, begin, end in self._spent:
                spent[thread] = spent.get(thread, 0.0) + end - max(begin, since)
            for thread, begin in self._inside.items():
                spent[thread] = spent.get(thread, 0.0) + now - max(begin, since)
        return max(spent.values(), default=0.0) / WINDOW

    def _forget(self, before: float) -> None:
        while self._spent and self._spent[0][2] < before:
            self._spent.popleft()
