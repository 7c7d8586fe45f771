"""How fast pieces come."""

from __future__ import annotations

from collections import deque

SECONDS = 1.0
"""That a rate is measured over."""


class Rate:
    """Of one download."""

    def __init__(self) -> None:
        self._arrivals: deque[float] = deque()
        self._first: float | None = None

    def add(self, now: float) -> None:
        """A piece has come."""
        self._arrivals.append(now)
        if self._first is None:
            self._first = now

    def pieces(self, now: float) -> float:
        """Pieces a second, over the last second."""
        arrivals = self._arrivals
        while arrivals and arrivals[0] < now - SECONDS:
            arrivals.popleft()
        return len(arrivals) / SECONDS

    def known(self, now: float) -> float:
        """The same; 0.0 until a second has gone by since the first piece."""
        return self.pieces(now) if self._first is not None and now - self._first >= SECONDS else 0.0
