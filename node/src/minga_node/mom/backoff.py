"""How long to wait before the next try to connect. Pure but for the dice."""

from __future__ import annotations

import random
from dataclasses import dataclass, field


@dataclass(slots=True)
class Backoff:
    """Exponential with a cap and jitter above a quarter, so that not all nodes come at once.

    A broker that starts is found within ``most`` seconds. One that refuses us waits for a person, so it is
    asked less often.
    """

    first: float = 0.25
    most: float = 4.0
    refused: float = 15.0
    _tries: int = field(default=0)

    def next(self, *, refused: bool = False) -> float:
        """Seconds between the beginnings of two tries."""
        limit = min(self.refused if refused else self.most, self.first * 2 ** min(self._tries, 20))
        self._tries += 1
        return random.uniform(limit / 4, limit)

    def reset(self) -> None:
        self._tries = 0
