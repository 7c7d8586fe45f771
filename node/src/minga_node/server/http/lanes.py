"""How many threads may be at one kind of work. What waits for its turn waits without a thread."""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from typing import Generic, Protocol, TypeVar


class Addressed(Protocol):
    @property
    def address(self) -> str: ...


T = TypeVar("T", bound=Addressed)


class Lane(Generic[T]):
    """Lets ``limit`` in at once; of those that wait, addresses take turns."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._lock = threading.Lock()
        self._inside = 0
        self._waiting: OrderedDict[str, deque[T]] = OrderedDict()

    def enter(self, one: T) -> bool:
        """Whether it is inside now; otherwise it waits, and some :meth:`leave` gives it out."""
        with self._lock:
            if self._inside < self.limit:
                self._inside += 1
                return True
            self._waiting.setdefault(one.address, deque()).append(one)
            return False

    def leave(self) -> T | None:
        """Ends a stay; gives who is inside in its place, if somebody waits."""
        with self._lock:
            if not self._waiting:
                self._inside -= 1
                return None
            address, waiting = self._waiting.popitem(last=False)
            one = waiting.popleft()
            if waiting:
                self._waiting[address] = waiting
            return one
