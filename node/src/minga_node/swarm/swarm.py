"""One download's decisions: given who has what and what is under way, what to ask of whom now.

No clock, no socket, no thread: ``now`` is handed in (seconds, any monotonic origin), randomness comes from a
seed, so equal calls give equal answers. Not thread-safe; the caller holds a lock.

Rarest first with random ties (Legout et al., "Rarest First and Choke Algorithms Are Enough", 2006), among the
holders of a piece the one that will deliver it soonest, a bounded number of pieces under way, and near the
end a second request for what is late (endgame, BEP 3).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from random import Random

from minga_node.swarm import pieces as sets
from minga_node.swarm.pieces import Pieces

CANDIDATES = 32
"""Ranges that a request offers a complete holder to choose from."""
RUN_SECONDS = 0.03
LONGEST_RUN = 32
SMALLEST_WINDOW = 8
"""Pieces under way at least, however slow it goes."""
QUEUE_SECONDS = 0.4
"""How much of what is under way may wait in holders' queues, as time at the present rate."""
LATE = 4.0
LATE_AT_THE_END = 2.0
"""After how many times the delay that was to be expected a piece is asked for again; sooner when nothing
else is left to ask for, since then the uplinks begin to be idle."""
LATE_AT_LEAST = 0.3
REPEAT_EVERY = 0.05
RATE_SECONDS = 1.0
RELAX = 1.05
"""How much slower the quickest answer is taken to be with each piece that comes: what an idle seed did for
the first to ask is soon of no use, and a window made for it would be too small for a busy one."""
SLOW_ASK = 2.0
"""A holder whose piece takes longer than this gets one request at a time."""


@dataclass(frozen=True, slots=True)
class Ask:
    """A request to be sent: the holder answers with one of these ranges of piece numbers."""

    id: int
    holder: str
    candidates: tuple[range, ...]


class Outcome(StrEnum):
    NEW = "new"
    DUPLICATE = "duplicate"


class Why(StrEnum):
    """Why a download is not faster just now."""

    RUNNING = "running"
    NO_HOLDER = "no holder"
    CHOKED = "all holders are busy"
    NOTHING_NEW = "waiting for pieces that no connected holder has yet"
    DISK = "waiting for the disk"
    LIMIT = "held back by a limit"
    COMPLETE = "complete"


@dataclass(slots=True)
class _Running:
    ask: Ask
    sent: float
    reserved: Pieces
    left: int
    begun: float | None = None
    """When the answer began."""
    come: bool = False
    """Whether a piece of it is here."""


@dataclass(slots=True)
class _Holder:
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
    refusals: int = 0
    running: dict[int, _Running] = field(default_factory=dict)

    @property
    def left(self) -> int:
        return sum(running.left for running in self.running.values())


class Swarm:
    """The state of one download among its holders."""

    def __init__(self, pieces: int, *, have: Pieces = 0, seed: int = 0) -> None:
        self.count = pieces
        self.have = have
        self.preferred: Pieces = 0
        """Pieces that a reader waits for: fetched first, in order."""
        self._missing = sets.all_pieces(pieces) & ~have
        self._random = Random(seed)
        self._holders: dict[str, _Holder] = {}
        self._levels: list[Pieces] = [sets.all_pieces(pieces)]
        """``_levels[n]``: the pieces that exactly n incomplete holders have."""
        self._running: dict[int, _Running] = {}
        self._next_id = 0
        self._arrivals: deque[float] = deque()
        self._repeat_at = 0.0
        self._rate = 0.0
        self._quickest: float | None = None

    # who has what

    def set_holder(self, holder: str, pieces: Pieces, *, complete: bool = False, depth: int = 2) -> None:
        """A holder and everything it has; ``depth`` requests may wait at it. Known ones are updated."""
        if complete:
            pieces = sets.all_pieces(self.count)
        known = self._holders.get(holder)
        if known is None:
            known = self._holders[holder] = _Holder(holder, 0, complete, depth)
        elif complete and not known.complete:
            self._count_out(known.pieces)
            known.pieces = 0
        known.complete, known.depth = complete or known.complete, depth
        self.add_pieces(holder, pieces)

    def add_pieces(self, holder: str, pieces: Pieces) -> bool:
        """A holder has these too, from now on; whether that is news and some are missing here."""
        known = self._holders.get(holder)
        if known is None:
            return False
        new = pieces & ~known.pieces & sets.all_pieces(self.count)
        known.pieces |= new
        if known.complete or not new:
            return bool(new)
        above = 0
        for level, members in enumerate(self._levels):
            moving = members & new
            self._levels[level] = (members ^ moving) | above
            above = moving
        if above:
            self._levels.append(above)
        return bool(new & self._missing)

    def lacks(self, holder: str, pieces: Pieces) -> None:
        """A holder turned out not to have these."""
        known = self._holders.get(holder)
        if known is None:
            return
        gone = pieces & known.pieces
        if known.complete:
            known.complete = False
            rest, known.pieces = known.pieces & ~gone, 0
            self.add_pieces(holder, rest)
        else:
            self._count_out(gone)
            known.pieces &= ~gone

    def remove_holder(self, holder: str) -> None:
        """A holder is gone; what was asked of it may be asked of others."""
        known = self._holders.pop(holder, None)
        if known is None:
            return
        for ask_id in known.running:
            del self._running[ask_id]
        if not known.complete:
            self._count_out(known.pieces)

    def _count_out(self, pieces: Pieces) -> None:
        levels = self._levels
        for level in range(1, len(levels)):
            moving = levels[level] & pieces
            levels[level] ^= moving
            levels[level - 1] |= moving
        while len(levels) > 1 and not levels[-1]:
            levels.pop()

    # what to ask

    def schedule(self, now: float) -> list[Ask]:
        """The requests to send now. Call it after every event, and now and then (0.1 s) for what is late."""
        asks: list[Ask] = []
        free = self._missing & ~self._reserved()
        if not free and now < self._repeat_at:
            return asks
        # What waits long in the queues of slow holders must not keep the quick ones idle.
        room = self.window(now)
        for running in self._running.values():
            if running.begun is not None or now - running.sent < QUEUE_SECONDS:
                room -= running.left
        if room <= 0:
            return asks
        ready = [holder for holder in self._holders.values() if _ready(holder, now)]
        while room > 0 and ready:
            offered = 0
            for holder in ready:
                offered |= holder.pieces
            wanted = free & offered
            started = self._ask(wanted, ready, now) if wanted else self._repeat(ready, now)
            if started is None:
                break
            free &= ~started.reserved
            room -= started.left
            asks.append(started.ask)
            holder = self._holders[started.ask.holder]
            if not _ready(holder, now):
                ready.remove(holder)
        return asks

    def window(self, now: float) -> int:
        """Pieces that may be under way: enough for the delay of the quickest answer and a short queue."""
        rate = self.rate(now)
        delay = QUEUE_SECONDS + (self._quickest or 0.0)
        return max(SMALLEST_WINDOW, int(rate * delay) + 2)

    def rate(self, now: float) -> float:
        """Pieces a second, over the last second."""
        arrivals = self._arrivals
        while arrivals and arrivals[0] < now - RATE_SECONDS:
            arrivals.popleft()
        return len(arrivals) / RATE_SECONDS

    def _reserved(self) -> Pieces:
        reserved = 0
        for running in self._running.values():
            reserved |= running.reserved
        return reserved

    def _ask(self, free: Pieces, ready: list[_Holder], now: float) -> _Running:
        wanted = free & self.preferred
        if wanted:
            piece = sets.first(wanted)
        else:
            wanted = next(rare for members in self._levels if (rare := members & free))
            piece = sets.pick(wanted, self._random)
        bit = 1 << piece
        holder = min(
            (holder for holder in ready if holder.pieces & bit),
            key=lambda holder: (self._delay(holder), self._random.random()),
        )
        longest = LONGEST_RUN if holder.pace == 0 else int(RUN_SECONDS / holder.pace) if holder.pace else 1
        longest = max(1, min(longest, LONGEST_RUN))
        available = free & holder.pieces
        candidates = [range(piece, piece + sets.run_from(available, piece, longest))]
        if holder.complete and not self.preferred and len(self._holders) > 1:
            self._add_candidates(candidates, wanted & available, longest)
        return self._start(holder.name, tuple(candidates), now)

    def _add_candidates(self, candidates: list[range], available: Pieces, longest: int) -> None:
        """More ranges for a complete holder to choose from, out of the equally rare."""
        available &= ~_of_range(candidates[0])
        most = max(1, CANDIDATES // longest)
        while len(candidates) < most and available:
            piece = sets.pick(available, self._random)
            run = range(piece, piece + sets.run_from(available, piece, len(candidates[0])))
            available &= ~_of_range(run)
            candidates.append(run)

    def _repeat(self, ready: list[_Holder], now: float) -> _Running | None:
        """A second request for a piece that is late, to a holder with nothing to do.

        Before the end (BEP 3's endgame) only for what waits in a holder's queue: a holder that hears
        meanwhile that the piece is here does not send it (:func:`still_wanted`).
        """
        if now < self._repeat_at:
            return None
        end = not self._missing & ~self._reserved()
        late_after = LATE_AT_THE_END if end else LATE
        idle = sorted(
            ((self._delay(holder), holder.name, holder) for holder in ready if not holder.running),
            key=lambda one: one[:2],
        )
        asked_lately = 0
        for running in sorted(self._running.values(), key=lambda running: -running.sent):
            late = running.reserved & self._missing & ~asked_lately
            asked_lately |= running.reserved
            if running.begun is not None and not end:
                continue
            for delay, name, holder in idle:
                if now - running.sent <= max(LATE_AT_LEAST, late_after * delay):
                    break
                both = late & holder.pieces
                if both:
                    piece = sets.first(both)
                    return self._start(name, (range(piece, piece + 1),), now)
        self._repeat_at = now + REPEAT_EVERY
        return None

    def _delay(self, holder: _Holder) -> float:
        return (holder.left + 1) * (holder.pace if holder.pace is not None else 0.01)

    def _start(self, name: str, candidates: tuple[range, ...], now: float) -> _Running:
        ask = Ask(self._next_id, name, candidates)
        self._next_id += 1
        reserved = 0
        for candidate in candidates:
            reserved |= _of_range(candidate)
        running = _Running(ask, now, reserved, len(candidates[0]))
        self._running[ask.id] = self._holders[name].running[ask.id] = running
        return running

    # what came of it

    def chosen(self, ask_id: int, pieces: range, now: float) -> None:
        """The holder begins to answer with these pieces; the other candidates are free again."""
        running = self._running.get(ask_id)
        if running is not None:
            holder = self._holders[running.ask.holder]
            holder.queueing += 0.3 * (now - max(running.sent, holder.last) - holder.queueing)
            running.begun = now
            running.reserved = _of_range(pieces) & self._missing
            running.left = len(pieces)

    def received(self, ask_id: int, piece: int, now: float) -> Outcome:
        """A verified piece is here."""
        running = self._running.get(ask_id)
        if running is not None:
            holder = self._holders[running.ask.holder]
            took = now - max(running.sent, holder.last)
            holder.pace = took if holder.pace is None else 0.7 * holder.pace + 0.3 * took
            if running.begun is not None and not running.come:
                running.come = True
                holder.answering += 0.3 * (now - running.begun - holder.answering)
            holder.last, holder.refusals = now, 0
            delay = now - running.sent
            self._quickest = delay if self._quickest is None else min(self._quickest * RELAX, delay)
            running.left = max(0, running.left - 1)
            running.reserved &= ~(1 << piece)
        if self.have >> piece & 1:
            return Outcome.DUPLICATE
        self._arrivals.append(now)
        self.have |= 1 << piece
        self._missing &= ~(1 << piece)
        self.preferred &= ~(1 << piece)
        return Outcome.NEW

    def finished(self, ask_id: int) -> None:
        """The answer has ended; pieces of it that did not come may be asked for again."""
        running = self._running.pop(ask_id, None)
        if running is not None:
            del self._holders[running.ask.holder].running[ask_id]

    def refused(self, ask_id: int, now: float, retry_after: float) -> None:
        """The holder has no slot: 503 with Retry-After, seconds."""
        running = self._running.get(ask_id)
        if running is not None:
            holder = self._holders[running.ask.holder]
            holder.refusals += 1
            # Spread out those who were refused together.
            holder.paused_until = now + retry_after * (0.5 + self._random.random())
        self.finished(ask_id)

    def has(self, holder: str) -> Pieces:
        """What a holder is known to have."""
        known = self._holders.get(holder)
        return known.pieces if known else 0

    def wasteful(self) -> Iterator[Ask]:
        """Requests of which nothing is wanted any more."""
        for running in self._running.values():
            if not running.reserved & self._missing:
                yield running.ask

    # what to tell

    @property
    def complete(self) -> bool:
        return not self._missing

    @property
    def missing(self) -> Pieces:
        return self._missing

    @property
    def running(self) -> int:
        """Requests under way."""
        return len(self._running)

    def holders(self) -> tuple[str, ...]:
        return tuple(self._holders)

    def why(self, now: float) -> Why:
        """Why it is not faster, as far as the swarm knows."""
        if self.complete:
            return Why.COMPLETE
        if not self._holders:
            return Why.NO_HOLDER
        if self._running:
            return Why.RUNNING
        if all(holder.paused_until > now for holder in self._holders.values()):
            return Why.CHOKED
        return Why.NOTHING_NEW


def _ready(holder: _Holder, now: float) -> bool:
    """Whether one more request may wait at a holder.

    One is enough where others' requests keep the holder busy until the next one gets there.
    """
    slow = holder.pace is not None and holder.pace > SLOW_ASK
    crowded = holder.queueing > holder.answering
    return holder.paused_until <= now and len(holder.running) < (1 if slow or crowded else holder.depth)


def _of_range(pieces: range) -> Pieces:
    return sets.all_pieces(len(pieces)) << pieces.start
