"""Figures that cost something to find, found rarely."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

KEPT_FACTOR = 50
"""A figure that took a second to find is kept for this many: its search costs at most 2 % of a core."""
LEAST_SECONDS = 1.0

T = TypeVar("T")


class Rarely(Generic[T]):
    """Remembers the answer of ``find`` for a while that grows with the time it took."""

    def __init__(self, find: Callable[[], T], clock: Callable[[], float] = time.monotonic) -> None:
        self._find, self._clock = find, clock
        self._lock = threading.Lock()
        self._until = float("-inf")
        self._last: T

    def __call__(self) -> T:
        with self._lock:
            began = self._clock()
            if began >= self._until:
                self._last = self._find()
                took = self._clock() - began
                self._until = began + max(LEAST_SECONDS, KEPT_FACTOR * took)
            return self._last
