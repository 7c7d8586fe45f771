"""Who can be heard but does not answer: as failed calls tell, and others that were asked."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from enum import StrEnum

FAILURES = 2
"""Calls that have to fail, one after the other, before anything is made of it."""
ASK_SECONDS = 10.0
"""Between two questions to others."""


class Answers(StrEnum):
    YES = "yes"
    NOT_HERE = "not here"
    """It answers others, or nobody has been asked."""
    NOBODY = "nobody"
    """Nor does it answer any of the others that were asked."""


@dataclass(slots=True)
class _Failing:
    since: float
    count: int = 1
    asked: float = float("-inf")
    nobody: bool = False


class Reachability:
    """Which nodes answer the calls of this one. Any thread may ask and tell.

    Args:
        patience: seconds that calls to a node may fail before it counts as one that does not answer.
    """

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._lock = threading.Lock()
        self._failing: dict[str, _Failing] = {}

    def answered(self, id_: str) -> None:
        with self._lock:
            self._failing.pop(id_, None)

    def failed(self, id_: str, now: float) -> None:
        with self._lock:
            failing = self._failing.get(id_)
            if failing is None:
                self._failing[id_] = _Failing(now)
            else:
                failing.count += 1

    def of(self, id_: str, now: float) -> Answers:
        with self._lock:
            failing = self._failing.get(id_)
        if failing is None or not self._sure(failing, now):
            return Answers.YES
        return Answers.NOBODY if failing.nobody else Answers.NOT_HERE

    def failing(self) -> set[str]:
        """Nodes whose last call failed."""
        with self._lock:
            return set(self._failing)

    def to_ask_about(self, now: float) -> list[str]:
        """Nodes that others should be asked about now."""
        with self._lock:
            due = [
                id_
                for id_, failing in self._failing.items()
                if self._sure(failing, now) and now - failing.asked >= ASK_SECONDS
            ]
            for id_ in due:
                self._failing[id_].asked = now
        return due

    def others_say(self, id_: str, *, nobody: bool) -> None:
        with self._lock:
            failing = self._failing.get(id_)
            if failing is not None:
                failing.nobody = nobody

    def _sure(self, failing: _Failing, now: float) -> bool:
        return failing.count >= FAILURES and now - failing.since >= self._patience
