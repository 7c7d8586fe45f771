"""Whose turn it is."""

from __future__ import annotations

import pytest

from minga_node.downloads.turns import (
    FIRST_PAUSE,
    LONGEST_PAUSE,
    PATIENCE,
    Signs,
    Turns,
)


def begin_all(turns: Turns, now: float = 0.0) -> list[str]:
    """Begins whoever may; who did."""
    begun = []
    while (key := turns.next()) is not None:
        turns.begin(key, now)
        begun.append(key)
    return begun


def made(count: int, slots: int = 4, reader_slots: int = 2) -> Turns:
    turns = Turns(slots, reader_slots)
    for number in range(count):
        turns.add(str(number))
    return turns


def test_first_come_first_served_and_no_more_than_there_are_slots() -> None:
    turns = made(6)
    assert begin_all(turns) == ["0", "1", "2", "3"]
    turns.remove("1")
    assert begin_all(turns) == ["4"]


def test_what_has_nobody_to_get_anything_from_leaves_its_slot_to_the_next() -> None:
    turns = made(5)
    begin_all(turns)
    for key in "0123":
        turns.park(key, 0.0)
    assert begin_all(turns) == ["4"]
    assert set(turns.parked) == set("0123")


def test_a_reader_waits_behind_nobody_who_is_not_read() -> None:
    turns = made(9)
    begin_all(turns)
    turns.reader("8", 1)
    assert begin_all(turns) == ["8"]
    assert begin_all(turns) == []


def test_slots_of_readers_are_bounded_and_a_stuck_one_leaves_its_own() -> None:
    turns = made(3, slots=1, reader_slots=2)
    for key in "012":
        turns.reader(key, 1)
    assert begin_all(turns) == ["0", "1"]
    still = Signs(0.0, moves=False)
    assert turns.leave({"0": still, "1": Signs(PATIENCE, moves=True)}, PATIENCE) == ["0"]
    assert begin_all(turns) == ["2"]


def test_when_the_last_reader_has_gone_it_is_one_of_many() -> None:
    turns = made(3, slots=1)
    begin_all(turns)
    turns.reader("2", 1)
    turns.reader("2", -1)
    turns.remove("0")
    assert begin_all(turns) == ["1"]


@pytest.mark.parametrize(
    ("moves", "held", "others", "leaves"),
    [
        (False, False, False, True),
        (False, False, True, True),
        (True, False, False, False),  # it waits at a holder, and keeps nobody waiting
        (True, False, True, True),
        (True, True, True, False),  # the disk, or a limit: nobody would be any quicker
        (False, True, True, False),
    ],
)
def test_who_gives_its_slot_up_after_a_while(moves: bool, held: bool, others: bool, leaves: bool) -> None:
    turns = made(2 if others else 1, slots=1)
    begin_all(turns)
    signs = {"0": Signs(0.0, moves, held)}
    assert turns.leave(signs, PATIENCE - 0.1) == []
    assert turns.leave(signs, PATIENCE) == (["0"] if leaves else [])
    assert begin_all(turns) == (["1"] if leaves and others else [])


def test_who_leaves_does_so_once_and_comes_behind_the_others() -> None:
    turns = made(3, slots=1)
    begin_all(turns)
    signs = {"0": Signs(0.0, moves=True)}
    assert turns.leave(signs, PATIENCE) == ["0"]
    assert turns.leave(signs, PATIENCE) == []
    turns.again("0")
    for key in ("1", "2", "0"):
        assert begin_all(turns) == [key]
        turns.remove(key)


def test_a_slow_one_gets_on_though_others_wait() -> None:
    """A piece of it takes 40 s: after a few turns in vain it is let be for so long."""
    turns = made(2, slots=1)
    now, vain = 0.0, 0
    while True:
        key = turns.next()
        assert key is not None
        turns.begin(key, now)
        if key == "1":
            turns.leave({"1": Signs(now, moves=False)}, now + 400)
            turns.again("1")
            continue
        began = now
        while now < began + 40 and not turns.leave({"0": Signs(began, moves=True)}, now):
            now += 1
        if "0" in turns.running:
            break
        turns.again("0")
        vain += 1
        assert vain < 5
    turns.leave({"0": Signs(now, moves=True)}, now)
    assert turns.leave({"0": Signs(now, moves=True)}, now + 60) == [], "the next piece may take so long too"


def test_pauses_double_to_a_bound_and_a_change_ends_them() -> None:
    turns = made(1)
    now, pauses = 0.0, []
    for _ in range(9):
        turns.park("0", now)
        pauses.append(turns.seconds(now))
        now += pauses[-1] or 0.0
        assert turns.due(now - 0.001) == []
        assert turns.due(now) == ["0"]
    assert pauses[:3] == [FIRST_PAUSE, 2 * FIRST_PAUSE, 4 * FIRST_PAUSE]
    assert pauses[-1] == LONGEST_PAUSE
    turns.park("0", now)
    turns.changed("0")
    assert turns.seconds(now) is None
    turns.park("0", now)
    assert turns.seconds(now) == FIRST_PAUSE


def test_trying_again_without_a_change_keeps_the_pause_long() -> None:
    turns = made(1)
    turns.park("0", 0.0)
    turns.retry("0")
    begin_all(turns)
    turns.park("0", 0.0)
    assert turns.seconds(0.0) == 2 * FIRST_PAUSE


def test_what_is_read_from_now_on_is_not_parked_any_more() -> None:
    turns = made(1)
    turns.park("0", 0.0)
    turns.reader("0", 1)
    assert begin_all(turns) == ["0"]


def test_parked_ones_do_not_make_a_node_busy() -> None:
    turns = made(1)
    before = turns.busy
    turns.park("0", 0.0)
    assert (before, turns.busy) == (True, False)
    turns.remove("0")
    assert turns.seconds(0.0) is None
    assert turns.due(100.0) == []


def test_a_thousand_that_wait_cost_one_that_runs_nothing() -> None:
    turns = made(1001, slots=1)
    for number in range(1000):
        assert turns.next() == str(number)
        turns.park(str(number), 0.0)
    assert begin_all(turns) == ["1000"]
