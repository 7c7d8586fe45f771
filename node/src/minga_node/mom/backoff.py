"""How long to wait before the next try to connect. Pure but for the dice."""

from __future__ import annotations

import random
from dataclasses import dataclass, field


@dataclass(slots=True)
class Backoff:
    """Exponential with a cap and full jitter above a half, so that not all nodes come at once."""

    first: float = 0.25
    most: float = 10.0
    _tries: int = field(default=0)

    def next(self) -> float:
        """Seconds."""
        limit = min(self.most, self.first * 2 ** min(self._tries, 20))
        self._tries += 1
        return random.uniform(limit / 2, limit)

    def reset(self) -> None:
        self._tries = 0
