"""A queue of keys for level-triggered work: each key is in it once, and in one worker's hands at a time."""

from __future__ import annotations

import heapq
import math
import random
import threading
import time
from collections import deque
from collections.abc import Callable

Key = tuple[str, str]


class WorkQueue:
    """Keys that wait, now or until a time. A key added while it is being worked on comes again afterwards."""

    def __init__(
        self,
        *,
        first_delay: float = 0.5,
        longest_delay: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._first, self._longest = first_delay, longest_delay
        self._clock, self._jitter = clock, jitter
        self._changed = threading.Condition()
        self._ready: deque[Key] = deque()
        self._waiting: set[Key] = set()
        self._working: dict[Key, float] = {}
        self._again: set[Key] = set()
        self._later: list[tuple[float, Key]] = []
        self._due: dict[Key, float] = {}
        self._failures: dict[Key, int] = {}
        self._closed = False

    def add(self, key: Key) -> None:
        """To be worked on as soon as possible."""
        with self._changed:
            self._add(key)

    def add_after(self, key: Key, seconds: float) -> None:
        """To be worked on then; the earliest of several times holds."""
        with self._changed:
            moment = self._clock() + seconds
            if moment < self._due.get(key, math.inf):
                self._due[key] = moment
                heapq.heappush(self._later, (moment, key))
                self._changed.notify()

    def retry(self, key: Key) -> float:
        """Adds a key that failed, later each time (doubled, with jitter); returns the delay in seconds."""
        with self._changed:
            count = self._failures.get(key, 0)
            self._failures[key] = count + 1
        delay = min(self._longest, self._first * 2.0 ** min(count, 30)) * (0.75 + self._jitter() / 2)
        self.add_after(key, delay)
        return delay

    def succeeded(self, key: Key) -> None:
        """The next failure of this key is its first."""
        with self._changed:
            self._failures.pop(key, None)

    def take(self, timeout: float | None = None) -> Key | None:
        """The next key, which must be given back by ``done``; None when closed or nothing came in time."""
        deadline = None if timeout is None else self._clock() + timeout
        with self._changed:
            while not self._closed:
                self._move_due()
                if self._ready:
                    key = self._ready.popleft()
                    self._waiting.discard(key)
                    self._working[key] = self._clock()
                    return key
                times = [moment for moment, _ in self._later[:1]] + ([deadline] if deadline else [])
                wait = min(times) - self._clock() if times else None
                if deadline is not None and self._clock() >= deadline:
                    return None
                self._changed.wait(None if wait is None else max(0.0, wait))
            return None

    def done(self, key: Key) -> None:
        """The worker has finished with it."""
        with self._changed:
            del self._working[key]
            if key in self._again:
                self._again.discard(key)
                self._add(key)

    def close(self) -> None:
        """Wakes all workers; ``take`` returns None from now on."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def depth(self) -> int:
        """Keys that wait for a worker."""
        with self._changed:
            return len(self._ready)

    def oldest_work(self) -> float:
        """Seconds for which the slowest worker has had its key."""
        with self._changed:
            return max((self._clock() - began for began in self._working.values()), default=0.0)

    def _add(self, key: Key) -> None:
        if key in self._working:
            self._again.add(key)
        elif key not in self._waiting:
            self._waiting.add(key)
            self._ready.append(key)
            self._changed.notify()

    def _move_due(self) -> None:
        while self._later and self._later[0][0] <= self._clock():
            moment, key = heapq.heappop(self._later)
            if self._due.get(key) == moment:
                del self._due[key]
                self._add(key)
