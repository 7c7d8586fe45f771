"""Whether one more request may wait at a holder, by how long it would.

A request that waits keeps its receiver from asking somebody else, and one that waits too long looks like a
holder that is gone. So a holder that is busy says so at once, and when it will be worth asking again.
"""

from __future__ import annotations

from collections import deque
from itertools import repeat
from typing import Any

from minga_node.uploads.fair_queue import FairQueue

LONGEST_WAIT = 2.5
"""Seconds that a request may have to wait by the estimate."""
OVERDUE = 10.0
"""Seconds of waiting after which a request is sent away though it was let in, for the queue got slower: well
before its receiver takes a silent holder for gone."""
LONGEST_RETRY = 30
TURNS = 32
"""Turns that the pace is measured over."""
SUPPOSED = 0.05
"""Seconds a turn while none has been measured."""


class QueuePace:
    """How fast a queue moves.

    What is measured are turns: how many requests got a slot while others waited. A transfer that hangs takes
    no turns and so changes nothing; a queue that does not move at all shows in the time since the last turn.
    Time in which nobody waits does not count.
    """

    def __init__(self) -> None:
        self._clock = 0.0
        """Seconds in which somebody waited."""
        self._since: float | None = None
        """Since when somebody waits."""
        self._turns: deque[float] = deque(maxlen=TURNS)
        self._before = 0.0
        """When, by that clock, the turn before the first of them was."""

    def moved(self, now: float, turns: int, waiting: int) -> None:
        """Slots were filled as far as they could be: so many got one, so many still wait."""
        if self._since is not None:
            self._clock += now - self._since
            over = len(self._turns) + turns - TURNS
            if over > 0:
                self._before = self._turns[over - 1] if over <= len(self._turns) else self._clock
            self._turns.extend(repeat(self._clock, turns))
        self._since = now if waiting else None

    def wait(self, ahead: int, now: float) -> float:
        """Seconds until it is the turn of a request that has ``ahead`` requests before it."""
        if self._since is None and not ahead:
            return 0.0
        clock = self._clock + (now - self._since if self._since is not None else 0.0)
        # The open interval counts as one, the supposition as another.
        each = (clock - self._before + SUPPOSED) / (len(self._turns) + 1)
        last = self._turns[-1] if self._turns else self._before
        return max((ahead + 1) * each, clock - last)


class Admission:
    """Lets requests into a queue, or says when to come again.

    Args:
        always: so many may wait however long it takes, lest a slot become free with nobody there for it.
    """

    def __init__(self, always: int) -> None:
        self.pace = QueuePace()
        self._always = always

    def refuses(self, queue: FairQueue[Any], party: str, now: float) -> int:
        """Whether one more request of a party would wait too long: after how many seconds it is worth asking
        again (RFC 9110, 10.2.3), 0 if it may wait.
        """
        if len(queue) < self._always or self.pace.wait(len(queue), now) <= LONGEST_WAIT:
            return 0
        return self.later(queue, party, now) if self._wait(queue, party, now) > LONGEST_WAIT else 0

    def later(self, queue: FairQueue[Any], party: str, now: float) -> int:
        """What to tell a party that is sent away, in whole seconds."""
        return min(LONGEST_RETRY, max(1, round(self._wait(queue, party, now))))

    def _wait(self, queue: FairQueue[Any], party: str, now: float) -> float:
        return self.pace.wait(queue.ahead(party), now)
