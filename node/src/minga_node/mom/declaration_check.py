"""When a node looks again whether its queues and exchanges are there, and what it does if one is not."""

from __future__ import annotations

import random
from collections.abc import Callable

LOOK_SECONDS = 40.0
"""Time between two looks, at most; half as long at least."""
LOOK_TWICE_SECONDS = 2.0
"""Time until a second look at a queue that nobody consumes. So it is for a moment without a leader."""


class DeclarationCheck:
    """The looks of one connection, in the connection's thread.

    A removed exchange, for one, is nobody's news: nodes would publish, and others never hear of it.

    Args:
        later: calls something in that thread after so many seconds.
        connected: whether the connection still stands; looks end with it.
        blocked: whether the broker reads nothing from this node just now.
        declare: declares everything once more, then calls back with the queues that nobody consumes.
        end: ends the connection, for a reason.
    """

    def __init__(
        self,
        later: Callable[[float, Callable[[], None]], None],
        connected: Callable[[], bool],
        blocked: Callable[[], bool],
        declare: Callable[[Callable[[list[str]], None]], None],
        end: Callable[[str], None],
    ) -> None:
        self._later, self._connected, self._blocked = later, connected, blocked
        self._declare, self._end = declare, end

    def begin(self) -> None:
        """Looks after a while, and from then on again and again."""
        self._later(random.uniform(0.5, 1.0) * LOOK_SECONDS, self._look)

    def _look(self, before: frozenset[str] = frozenset()) -> None:
        """One look; ``before`` are the queues that had no consumer at the last one."""
        if not self._connected():
            return
        if self._blocked():
            self.begin()
            return

        def declared(deaf: list[str]) -> None:
            if again := before.intersection(deaf):
                self._end(f"nobody consumes the queue {min(again)}")
            elif deaf:
                self._later(LOOK_TWICE_SECONDS, lambda: self._look(frozenset(deaf)))
            else:
                self.begin()

        self._declare(declared)
