"""Whom to exchange pieces with in a big swarm."""

from __future__ import annotations

from collections.abc import Collection
from random import Random

NEIGHBOURS = 12
"""So many a node looks for by itself."""
MOST_NEIGHBOURS = 24
"""So many it has at most, with those who found it."""
COMPLETE = 4
MORE = 4
"""So many at a time, if those are not enough (:class:`Hunger`)."""


class Hunger:
    """Whether a download has lately been short of holders to ask more often than not."""

    def __init__(self) -> None:
        self._share = 0.0

    def feels(self, starved: bool) -> None:
        """Looked at ten times a second or so; half of the last second's looks count."""
        self._share += 0.2 * (starved - self._share)

    def limit(self, current: int) -> int:
        """How many neighbours to look for, of which there are ``current``."""
        return min(MOST_NEIGHBOURS, current + MORE) if self._share > 0.5 else NEIGHBOURS


def choose_neighbours(
    known: Collection[str],
    complete: Collection[str],
    current: Collection[str],
    random: Random,
    *,
    followers: Collection[str] = (),
    limit: int = NEIGHBOURS,
    most: int = MOST_NEIGHBOURS,
    limit_complete: int = COMPLETE,
) -> list[str]:
    """Peers to add to ``current`` among ``known``, at random: every one that follows this node (up to
    ``most``), others up to ``limit``.

    Random neighbours make a random graph, whose diameter grows with the logarithm of its size. Its edges go
    both ways: were followers turned away by those who have enough, nobody would take pieces from the last
    one to come, and its uplink would be idle. Complete holders give but never take, so a few of them are
    enough, unless there are not enough others.
    """
    fresh = sorted(set(known) - set(current))
    random.shuffle(fresh)
    chosen = [peer for peer in fresh if peer in followers][: max(0, most - len(current))]
    room = limit - len(current) - len(chosen)
    givers = [peer for peer in fresh if peer in complete and peer not in chosen]
    takers = [peer for peer in fresh if peer not in complete and peer not in chosen]
    wanted = max(0, limit_complete - len(set(current) & set(complete)))
    sought = givers[:wanted]
    sought += takers[: max(0, room - len(sought))]
    sought += givers[wanted:][: max(0, room - len(sought))]
    return chosen + sought[: max(0, room)]
