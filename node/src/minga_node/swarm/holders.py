"""Who has which pieces, how rare each is, and what is under way at whom.

Rarity is kept as sets by level, so that news of thousands of pieces and the choice of the rarest are a few
operations on integers.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from minga_node.wire import piece_set as sets
from minga_node.wire.piece_set import Pieces

SLOW_ASK = 2.0
"""A holder whose piece takes longer than this gets one request at a time."""


class PieceFetch(NamedTuple):
    """A request to be sent: the holder answers with one of these ranges of piece numbers."""

    id: int
    holder: str
    candidates: tuple[range, ...]


@dataclass(slots=True)
class Running:
    """A request under way."""

    ask: PieceFetch
    sent: float
    reserved: Pieces
    left: int
    begun: float | None = None
    """When the answer began."""
    come: bool = False
    """Whether a piece of it is here."""


@dataclass(slots=True)
class SwarmHolder:
    name: str
    pieces: Pieces
    complete: bool
    depth: int
    paused_until: float = 0.0
    pace: float | None = None
    """Seconds a piece, smoothed, while it has requests to answer."""
    last: float = 0.0
    queueing: float = 0.0
    """Seconds from a request, or the end of the answer before, to the answer's begin, smoothed."""
    answering: float = 0.0
    """Seconds from an answer's begin to its first piece, smoothed."""
    running: dict[int, Running] = field(default_factory=dict)
    most: int = field(init=False)
    """Requests that may wait at it by what is known of it."""

    def __post_init__(self) -> None:
        self.settle()

    @property
    def left(self) -> int:
        return sum(running.left for running in self.running.values())

    def settle(self) -> None:
        """Finds out how many requests may wait at it.

        One is enough where others' requests keep it busy until the next one gets there.
        """
        slow = self.pace is not None and self.pace > SLOW_ASK
        crowded = self.queueing > self.answering
        self.most = 1 if slow or crowded else self.depth

    def ready(self, now: float) -> bool:
        """Whether one more request may wait at it."""
        return len(self.running) < self.most and self.paused_until <= now

    def begins(self, running: Running, now: float) -> None:
        """Its answer to a request begins."""
        self.queueing += 0.3 * (now - max(running.sent, self.last) - self.queueing)
        running.begun = now
        self.settle()

    def delivers(self, running: Running, now: float) -> None:
        """A piece of its answer is here."""
        took = now - max(running.sent, self.last)
        self.pace = took if self.pace is None else 0.7 * self.pace + 0.3 * took
        if running.begun is not None and not running.come:
            running.come = True
            self.answering += 0.3 * (now - running.begun - self.answering)
        self.last = now
        self.settle()


class Holders:
    """Those of one content of ``count`` pieces."""

    def __init__(self, count: int) -> None:
        self._every = sets.all_pieces(count)
        self.by_name: dict[str, SwarmHolder] = {}
        self._levels: list[Pieces] = [self._every]
        """``_levels[n]``: the pieces that exactly n incomplete holders have."""

    def set(self, name: str, pieces: Pieces, *, complete: bool, depth: int) -> None:
        """A holder and everything it has; ``depth`` requests may wait at it. Known ones are updated."""
        if complete:
            pieces = self._every
        known = self.by_name.get(name)
        if known is None:
            known = self.by_name[name] = SwarmHolder(name, 0, complete, depth)
        elif complete and not known.complete:
            self._count_out(known.pieces)
            known.pieces = 0
        known.complete, known.depth = complete or known.complete, depth
        known.settle()
        self.add(name, pieces)

    def add(self, name: str, pieces: Pieces) -> Pieces:
        """A holder has these too, from now on; those of them that are news."""
        known = self.by_name.get(name)
        if known is None:
            return 0
        new = pieces & ~known.pieces & self._every
        known.pieces |= new
        if known.complete or not new:
            return new
        above, rest = 0, new
        for level, members in enumerate(self._levels):
            moving = members & rest
            if moving or above:
                self._levels[level] = (members ^ moving) | above
            above, rest = moving, rest ^ moving
            if not rest and not above:
                break
        if above:
            self._levels.append(above)
        return new

    def lacks(self, name: str, pieces: Pieces) -> None:
        """A holder turned out not to have these."""
        known = self.by_name.get(name)
        if known is None:
            return
        gone = pieces & known.pieces
        if known.complete:
            known.complete = False
            rest, known.pieces = known.pieces & ~gone, 0
            self.add(name, rest)
        else:
            self._count_out(gone)
            known.pieces &= ~gone

    def remove(self, name: str) -> SwarmHolder | None:
        """A holder is gone; what is known of it, if it was known."""
        known = self.by_name.pop(name, None)
        if known is not None and not known.complete:
            self._count_out(known.pieces)
        return known

    def rarest(self, wanted: Pieces) -> Pieces:
        """Those of ``wanted``, a set that is not empty, that the fewest incomplete holders have."""
        return next(rare for members in self._levels if (rare := members & wanted))

    def _count_out(self, pieces: Pieces) -> None:
        levels = self._levels
        for level in range(1, len(levels)):
            moving = levels[level] & pieces
            levels[level] ^= moving
            levels[level - 1] |= moving
        while len(levels) > 1 and not levels[-1]:
            levels.pop()
