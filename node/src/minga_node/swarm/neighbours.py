"""Whom to exchange pieces with in a big swarm."""

from __future__ import annotations

from collections.abc import Collection
from random import Random

NEIGHBOURS = 10
COMPLETE = 4


def choose_neighbours(
    known: Collection[str],
    complete: Collection[str],
    current: Collection[str],
    random: Random,
    *,
    limit: int = NEIGHBOURS,
    limit_complete: int = COMPLETE,
) -> list[str]:
    """Peers to add to ``current`` among ``known``, at random, up to ``limit`` neighbours.

    Random neighbours make a random graph, whose diameter grows with the logarithm of its size. Complete
    holders give but never take, so a few of them are enough, unless there are not enough others.
    """
    room = limit - len(current)
    fresh = sorted(set(known) - set(current))
    random.shuffle(fresh)
    givers = [peer for peer in fresh if peer in complete]
    takers = [peer for peer in fresh if peer not in complete]
    wanted = max(0, limit_complete - len(set(current) & set(complete)))
    chosen = givers[:wanted]
    chosen += takers[: max(0, room - len(chosen))]
    chosen += givers[wanted:][: max(0, room - len(chosen))]
    return chosen[: max(0, room)]
