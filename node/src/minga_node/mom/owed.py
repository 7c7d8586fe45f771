"""Answers that the broker owes: who gives none in time is let go, unless it said that it reads nothing."""

from __future__ import annotations

from collections.abc import Callable


class Owed:
    """One at a time; in the connection's thread.

    Args:
        later: calls something in that thread after so many seconds.
        blocked: whether the broker reads nothing from this node just now.
        give_up: called when the time is over.
    """

    def __init__(
        self,
        later: Callable[[float, Callable[[], None]], None],
        blocked: Callable[[], bool],
        give_up: Callable[[], None],
    ) -> None:
        self._later, self._blocked, self._give_up = later, blocked, give_up
        self._asked = 0

    def expect(self, seconds: float) -> None:
        """The broker owes an answer within so many seconds, whatever it owed before."""
        self._asked += 1
        asked = self._asked

        def check() -> None:
            if self._asked != asked:
                return
            if self._blocked():
                self._later(seconds, check)
            else:
                self._give_up()

        self._later(seconds, check)

    def answered(self) -> None:
        self._asked += 1
