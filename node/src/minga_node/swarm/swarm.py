"""One download's decisions: given who has what and what is under way, what to ask of whom now.

No clock, no socket, no thread: ``now`` is handed in (seconds, any monotonic origin), randomness comes from a
seed, so equal calls give equal answers. Not thread-safe; the caller holds a lock.

Rarest first with random ties (Legout et al., "Rarest First and Choke Algorithms Are Enough", 2006), among the
holders of a piece the one that will deliver it soonest, a bounded number of pieces under way, and near the
end a second request for what is late (endgame, BEP 3).
"""

from __future__ import annotations

from random import Random

from minga_node.swarm.holders import Holders, PieceFetch, Running, SwarmHolder
from minga_node.swarm.model import Outcome, Why
from minga_node.swarm.rate import Rate
from minga_node.wire import piece_set as sets
from minga_node.wire.piece_set import Pieces

CANDIDATES = 32
"""Ranges that a request offers a complete holder to choose from."""
RUN_SECONDS = 0.03
LONGEST_RUN = 32
SMALLEST_WINDOW = 16
"""Pieces under way at least, however slow it goes."""
QUEUE_SECONDS = 0.4
"""How much of what is under way may wait in holders' queues, as time at the present rate."""
LATE = 8.0
LATE_AT_THE_END = 2.0
"""After how many times the delay that was to be expected a piece is asked for again; sooner when nothing
else is left to ask for, since then the uplinks begin to be idle."""
LATE_AT_LEAST = 0.3
REPEAT_EVERY = 0.05
LONG_WAIT = 2.0
"""Seconds after which a request that waits at a holder is said to."""
RELAX = 1.05
"""How much slower the quickest answer is taken to be with each piece that comes: what an idle seed did for
the first to ask is soon of no use, and a window made for it would be too small for a busy one."""


class Swarm:
    """The state of one download among its holders."""

    def __init__(self, pieces: int, *, have: Pieces = 0, seed: int = 0) -> None:
        self.count = pieces
        self.have = have
        self.preferred: Pieces = 0
        """Pieces that a reader waits for: fetched first, in order."""
        self._missing = sets.all_pieces(pieces) & ~have
        self._random = Random(seed)
        self._table = Holders(pieces)
        self._holders = self._table.by_name
        self._running: dict[int, Running] = {}
        self._next_id = 0
        self.rate = Rate()
        self._repeat_at = 0.0
        self._quickest: float | None = None

    # who has what

    def set_holder(self, holder: str, pieces: Pieces, *, complete: bool = False, depth: int = 2) -> None:
        """A holder and everything it has; ``depth`` requests may wait at it. Known ones are updated."""
        self._table.set(holder, pieces, complete=complete, depth=depth)

    def add_pieces(self, holder: str, pieces: Pieces, now: float) -> bool:
        """A holder has these too, from now on; whether there is any of them to ask it for now."""
        new = self._table.add(holder, pieces) & self._missing
        return bool(new) and self._holders[holder].ready(now) and bool(new & ~self._reserved())

    def lacks(self, holder: str, pieces: Pieces) -> None:
        """A holder turned out not to have these."""
        self._table.lacks(holder, pieces)

    def remove_holder(self, holder: str) -> None:
        """A holder is gone; what was asked of it may be asked of others."""
        known = self._table.remove(holder)
        if known is not None:
            for ask_id in known.running:
                del self._running[ask_id]

    # what to ask

    def schedule(self, now: float) -> list[PieceFetch]:
        """The requests to send now. Call it after every event, and now and then (0.1 s) for what is late."""
        asks: list[PieceFetch] = []
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
        ready = [holder for holder in self._holders.values() if holder.ready(now)]
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
            if not holder.ready(now):
                ready.remove(holder)
        return asks

    def window(self, now: float) -> int:
        """Pieces that may be under way: enough for the delay of the quickest answer and a short queue."""
        rate = self.rate.pieces(now)
        delay = QUEUE_SECONDS + (self._quickest or 0.0)
        return max(SMALLEST_WINDOW, int(rate * delay) + 2)

    def starved(self, now: float) -> bool:
        """Whether more would be under way if there were more holders to ask."""
        under_way = sum(running.left for running in self._running.values())
        return under_way < self.window(now) and bool(self._missing & ~self._reserved())

    def _reserved(self) -> Pieces:
        reserved = 0
        for running in self._running.values():
            reserved |= running.reserved
        return reserved

    def _ask(self, free: Pieces, ready: list[SwarmHolder], now: float) -> Running:
        wanted = free & self.preferred
        if wanted:
            piece = sets.first(wanted)
        else:
            wanted = self._table.rarest(free)
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
        available &= ~sets.of_range(candidates[0])
        most = max(1, CANDIDATES // longest)
        while len(candidates) < most and available:
            piece = sets.pick(available, self._random)
            run = range(piece, piece + sets.run_from(available, piece, len(candidates[0])))
            available &= ~sets.of_range(run)
            candidates.append(run)

    def _repeat(self, ready: list[SwarmHolder], now: float) -> Running | None:
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
        unasked: list[tuple[Running, Pieces]] = []
        """Requests, the newest first, and what no newer one asks for too."""
        for running in sorted(self._running.values(), key=lambda running: -running.sent):
            unasked.append((running, running.reserved & self._missing & ~asked_lately))
            asked_lately |= running.reserved
        for running, late in reversed(unasked):
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

    def _delay(self, holder: SwarmHolder) -> float:
        return (holder.left + 1) * (holder.pace if holder.pace is not None else 0.01)

    def _start(self, name: str, candidates: tuple[range, ...], now: float) -> Running:
        ask = PieceFetch(self._next_id, name, candidates)
        self._next_id += 1
        reserved = 0
        for candidate in candidates:
            reserved |= sets.of_range(candidate)
        running = Running(ask, now, reserved, len(candidates[0]))
        self._running[ask.id] = self._holders[name].running[ask.id] = running
        return running

    # what came of it

    def chosen(self, ask_id: int, pieces: range, now: float) -> None:
        """The holder begins to answer with these pieces; the other candidates are free again."""
        running = self._running.get(ask_id)
        if running is not None:
            self._holders[running.ask.holder].begins(running, now)
            running.reserved = sets.of_range(pieces) & self._missing
            running.left = len(pieces)

    def received(self, ask_id: int, piece: int, now: float) -> Outcome:
        """A verified piece is here."""
        running = self._running.get(ask_id)
        if running is not None:
            self._holders[running.ask.holder].delivers(running, now)
            delay = now - running.sent
            self._quickest = delay if self._quickest is None else min(self._quickest * RELAX, delay)
            running.left = max(0, running.left - 1)
            running.reserved &= ~(1 << piece)
        if self.have >> piece & 1:
            return Outcome.DUPLICATE
        self.rate.add(now)
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
            # Spread out those who were refused together.
            holder.paused_until = now + retry_after * (0.5 + self._random.random())
        self.finished(ask_id)

    def has(self, holder: str) -> Pieces:
        """What a holder is known to have."""
        known = self._holders.get(holder)
        return known.pieces if known else 0

    def asked_in_vain(self, piece: int) -> list[str]:
        """Holders at which a request for a piece that is here still waits, and nothing else of it is wanted:
        one that hears so in time does not answer it (:func:`still_wanted`).
        """
        bit = 1 << piece
        return [
            running.ask.holder
            for running in self._running.values()
            if running.reserved & bit and running.begun is None and not running.reserved & self._missing
        ]

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
            return (
                Why.RUNNING
                if any(self._moves(running, now) for running in self._running.values())
                else Why.CHOKED
            )
        if all(holder.paused_until > now for holder in self._holders.values()):
            return Why.CHOKED
        return Why.NOTHING_NEW

    def _moves(self, running: Running, now: float) -> bool:
        """Whether a request is answered, or has not waited for long."""
        since = max(running.sent, self._holders[running.ask.holder].last)
        return running.begun is not None or now - since < LONG_WAIT
