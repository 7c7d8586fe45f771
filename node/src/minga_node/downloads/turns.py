"""Which downloads may run: whose turn it is, who gives its slot up, who waits until something changes.

No socket, no thread, no clock: ``now`` is handed in (seconds, any monotonic origin). Not thread-safe.

A download is *ready* (waits for a slot), *running*, *leaving* (it was told to give its slot up and is on its
way out; others may have the slot already) or *parked*: it holds nothing, and is looked at again when
something has changed or after a pause, which doubles each time.

Those that somebody reads from have slots of their own, so that no reader waits behind what does not move.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from heapq import heappop, heappush

PATIENCE = 5.0
"""Seconds without one more verified piece after which a slot is given up, at first."""
LONGEST_PATIENCE = 300.0
SLACK = 2.0
"""How many times as long as the piece before the next one may take: what is slow still gets on."""
FIRST_PAUSE = 1.0
"""Seconds before a parked download is looked at again."""
LONGEST_PAUSE = 60.0
READER_SLOTS = 32
"""Downloads that run at once because somebody reads from them."""


class TurnPhase(Enum):
    READY = auto()
    RUNNING = auto()
    LEAVING = auto()
    PARKED = auto()


@dataclass(frozen=True, slots=True)
class Signs:
    """How a running download stands."""

    verified_at: float
    """When a piece was verified, or it began."""
    moves: bool
    """Something is on its way to it, or a holder has it wait."""
    held: bool = False
    """It waits for the disk or for a limit: no other holder and no other download would change that."""


@dataclass(slots=True, eq=False)
class Turn:
    """What is known of one download."""

    key: str
    phase: TurnPhase = TurnPhase.READY
    readers: int = 0
    verified_at: float = 0.0
    patience: float = PATIENCE
    pauses: int = 0
    """Looks in a row that changed nothing."""
    again_at: float = 0.0


class Turns:
    """Those of one node.

    Args:
        slots: downloads that run at once, besides those that somebody reads from.
    """

    def __init__(self, slots: int, reader_slots: int = READER_SLOTS) -> None:
        self._slots, self._reader_slots = slots, reader_slots
        self._all: dict[str, Turn] = {}
        # Each in the order in which they got there; of those that are ready, first come first served.
        self._ready: dict[str, Turn] = {}
        self._ready_for_readers: dict[str, Turn] = {}
        self._running: dict[str, Turn] = {}
        self._parked: dict[str, Turn] = {}
        self._due: list[tuple[float, str]] = []
        """When parked ones are looked at again; some entries are out of date."""

    # who takes part

    def add(self, key: str) -> None:
        """One more, behind all that are ready."""
        turn = self._all[key] = Turn(key)
        self._to(turn, TurnPhase.READY)

    def remove(self, key: str) -> None:
        """It has ended."""
        turn = self._all.pop(key, None)
        if turn is not None:
            self._take_out(turn)

    def reader(self, key: str, count: int) -> None:
        """So many more read from it (-1: one fewer). What is parked is ready with the first."""
        turn = self._all.get(key)
        if turn is None:
            return
        turn.readers += count
        if turn.phase is TurnPhase.READY or (turn.phase is TurnPhase.PARKED and count > 0):
            self._to(turn, TurnPhase.READY)

    # who runs

    def next(self) -> str | None:
        """Who may begin now; it stays ready until :meth:`begin` or :meth:`park`."""
        read = sum(turn.readers > 0 for turn in self._running.values())
        if self._ready_for_readers and read < self._reader_slots:
            return next(iter(self._ready_for_readers))
        if self._ready and len(self._running) - read < self._slots:
            return next(iter(self._ready))
        return None

    def begin(self, key: str, now: float) -> None:
        """It runs."""
        turn = self._all[key]
        turn.verified_at = now
        self._to(turn, TurnPhase.RUNNING)

    def leave(self, signs: Mapping[str, Signs], now: float) -> list[str]:
        """Who is to give its slot up. They are leaving from now on, and others may have their slots.

        Who gets nothing for a while does when others wait for a slot, or when nobody sends it anything.
        """
        leaving = []
        for key, sign in signs.items():
            turn = self._running.get(key)
            if turn is None:
                continue
            self._learn(turn, sign)
            if sign.held or now - turn.verified_at < turn.patience:
                continue
            others = self._ready_for_readers if turn.readers else self._ready
            if (turn.readers and not others) or (sign.moves and not others):
                continue
            turn.patience = min(LONGEST_PATIENCE, turn.patience * SLACK)
            self._to(turn, TurnPhase.LEAVING)
            leaving.append(key)
        return leaving

    def _learn(self, turn: Turn, sign: Signs) -> None:
        if sign.verified_at > turn.verified_at:
            took = sign.verified_at - turn.verified_at
            turn.verified_at, turn.pauses = sign.verified_at, 0
            turn.patience = min(LONGEST_PATIENCE, max(PATIENCE, SLACK * took))

    def again(self, key: str) -> None:
        """It has given its slot up, and may go on as soon as one is free: behind all that are ready."""
        turn = self._all.get(key)
        if turn is not None:
            self._take_out(turn)
            self._to(turn, TurnPhase.READY)

    # who waits for a change

    def park(self, key: str, now: float) -> None:
        """It has nobody to get anything from, and holds nothing; looked at again after a while."""
        turn = self._all.get(key)
        if turn is None:
            return
        turn.again_at = now + min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(turn.pauses, 16))
        turn.pauses += 1
        heappush(self._due, (turn.again_at, key))
        self._to(turn, TurnPhase.PARKED)

    def changed(self, key: str) -> None:
        """What is parked may go on: it is ready, behind all that are."""
        turn = self._parked.get(key)
        if turn is not None:
            turn.pauses = 0
            self._to(turn, TurnPhase.READY)

    def retry(self, key: str) -> None:
        """The same, though nothing has changed that is known of: its next pause is longer."""
        turn = self._parked.get(key)
        if turn is not None:
            self._to(turn, TurnPhase.READY)

    def due(self, now: float) -> list[str]:
        """Those parked whose pause is over. Each must be parked again, or made ready."""
        found = []
        while self._due and self._due[0][0] <= now:
            at, key = heappop(self._due)
            turn = self._parked.get(key)
            if turn is not None and turn.again_at == at:
                found.append(key)
        return found

    def seconds(self, now: float) -> float | None:
        """Until the next pause is over; None while nobody is parked."""
        while self._due:
            at, key = self._due[0]
            turn = self._parked.get(key)
            if turn is not None and turn.again_at == at:
                return max(0.0, at - now)
            heappop(self._due)
        return None

    # what there is

    @property
    def parked(self) -> Iterable[str]:
        return self._parked.keys()

    @property
    def running(self) -> Iterable[str]:
        return self._running.keys()

    @property
    def busy(self) -> bool:
        """Whether anything runs or could."""
        return len(self._all) > len(self._parked)

    def phase(self, key: str) -> TurnPhase | None:
        turn = self._all.get(key)
        return turn.phase if turn is not None else None

    def _to(self, turn: Turn, phase: TurnPhase) -> None:
        same = turn.phase is phase and turn.key in self._place(turn)
        if not same:
            self._take_out(turn)
            turn.phase = phase
            self._place(turn)[turn.key] = turn

    def _place(self, turn: Turn) -> dict[str, Turn]:
        if turn.phase is TurnPhase.READY:
            return self._ready_for_readers if turn.readers > 0 else self._ready
        if turn.phase is TurnPhase.RUNNING:
            return self._running
        return self._parked if turn.phase is TurnPhase.PARKED else {}

    def _take_out(self, turn: Turn) -> None:
        for place in (self._ready, self._ready_for_readers, self._running, self._parked):
            place.pop(turn.key, None)
