"""Whether the other end of a stream keeps up, so that a slow one can make room for those who wait. Pure."""

from __future__ import annotations

import time
from collections.abc import Callable

PATIENCE = 10.0
"""Seconds spent waiting for the other end before its rate counts, and for one message at most."""
SLOW = 128 * 1024
"""Bytes a second, below which a stream is slow."""


class StreamRate:
    """Only the time that is spent waiting for the other end counts."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._bytes, self._waited = 0, 0.0
        self._since: float | None = None

    def wait(self) -> None:
        """The other end is waited for, from now on."""
        self._since = self._clock()

    def went_on(self, size: int) -> None:
        """It has taken, or sent, so many bytes."""
        self._waited, self._since = self.waited, None
        self._bytes += size

    @property
    def waited(self) -> float:
        """Seconds, until now."""
        since = self._since
        return self._waited + (0.0 if since is None else self._clock() - since)

    @property
    def rate(self) -> float:
        """Bytes a second."""
        return self._bytes / max(self.waited, 1e-3)

    @property
    def slow(self) -> bool:
        since = self._since
        stalled = since is not None and self._clock() - since > PATIENCE
        return stalled or (self.waited > PATIENCE and self.rate < SLOW)
