"""Slow streams: what counts as slow, and who makes room for whom."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial

import pytest

from minga_node.errors import Busy
from minga_node.membership import catch_up_slots
from minga_node.membership.catch_up_slots import STREAMS, CatchUpSlots
from minga_node.membership.stream_rate import PATIENCE, SLOW, StreamRate


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        monkeypatch.setattr(catch_up_slots, "StreamRate", lambda: StreamRate(lambda: self.now))

    def wait(self, pace: StreamRate, seconds: float, size: int) -> None:
        """The other end needs so long for so many bytes."""
        pace.wait()
        self.now += seconds
        pace.went_on(size)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def pace_of(clock: Clock) -> StreamRate:
    return StreamRate(lambda: clock.now)


def test_a_rate_counts_after_some_time_of_waiting(clock: Clock) -> None:
    pace = pace_of(clock)
    clock.wait(pace, PATIENCE * 0.9, 1)
    assert not pace.slow
    clock.wait(pace, PATIENCE * 0.2, 1)
    assert pace.slow


def test_who_is_not_waited_for_is_not_slow(clock: Clock) -> None:
    pace = pace_of(clock)
    for _ in range(100):
        clock.wait(pace, 1.0, SLOW + 1)
        clock.now += PATIENCE
    assert not pace.slow


def test_a_message_that_takes_too_long_is_slow_whatever_came_before(clock: Clock) -> None:
    pace = pace_of(clock)
    clock.wait(pace, 1.0, SLOW * 10_000)
    pace.wait()
    clock.now += PATIENCE * 0.9
    assert not pace.slow
    clock.now += PATIENCE * 0.2
    assert pace.slow


@pytest.fixture
def full(clock: Clock) -> tuple[Clock, CatchUpSlots, list[StreamRate], list[str], ExitStack]:
    """All places taken, and who was cut."""
    cut: list[str] = []
    places, stack = CatchUpSlots(), ExitStack()
    taken = [stack.enter_context(places.place(f"r{n}", partial(cut.append, f"r{n}"))) for n in range(STREAMS)]
    return clock, places, taken, cut, stack


def test_nobody_makes_room_who_is_not_slow(
    full: tuple[Clock, CatchUpSlots, list[StreamRate], list[str], ExitStack],
) -> None:
    clock, places, taken, cut, _ = full
    for pace in taken:
        clock.wait(pace, PATIENCE * 2, SLOW * 30)
    with pytest.raises(Busy), places.place("new", lambda: None):
        pass
    assert cut == []


def test_the_slowest_makes_room_for_one_who_waits(
    full: tuple[Clock, CatchUpSlots, list[StreamRate], list[str], ExitStack],
) -> None:
    clock, places, taken, cut, stack = full
    for n, pace in enumerate(taken):
        clock.wait(pace, PATIENCE * 2, [SLOW * 30, 2000, 1000, SLOW * 30][n])
    with places.place("new", lambda: None):
        assert cut == ["r2"]
        with places.place("another", lambda: None):
            assert cut == ["r2", "r1"]
            with pytest.raises(Busy), places.place("third", lambda: None):
                pass
    stack.close()
    with ExitStack() as again:
        for n in range(STREAMS):
            again.enter_context(places.place(f"r{n}", lambda: None))
        with pytest.raises(Busy), places.place("new", lambda: None):
            pass


def test_a_reader_has_one_place_and_gets_another_for_it_when_it_is_stuck(clock: Clock) -> None:
    cut: list[str] = []
    places = CatchUpSlots()
    with places.place("reader", lambda: cut.append("old")) as pace:
        with pytest.raises(Busy), places.place("reader", lambda: None):
            pass
        pace.wait()
        clock.now += PATIENCE * 1.1
        with places.place("reader", lambda: cut.append("new")):
            assert cut == ["old"]
