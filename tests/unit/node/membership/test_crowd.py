"""How many nodes one may tell of, and who makes room."""

from __future__ import annotations

from minga_node.membership.crowd import (
    AT,
    MOST_AT_AN_ADDRESS,
    MOST_TOLD_BY_A_PROVEN_NODE,
    MOST_TOLD_BY_AN_UNPROVEN_NODE,
    Crowd,
)
from minga_node.membership.goodbyes import Goodbye
from minga_node.membership.known_members import BROKER
from minga_node.membership.newcomers import MOST_ADDRESSES, NEWCOMERS_AT_ONCE, NEWCOMERS_PER_SECOND, Newcomers
from minga_node.membership.view import View
from tests.support.writer import Writer

RECORD = Writer("x").record()


def add(view: View, id_: str, by: str, now: float, *, alive: bool = False) -> bool:
    room = view.make_room(id_, by, alive=alive)
    if room.granted:
        record = Writer(id_).record()
        view.learn(record, now, alive=alive, by=by)
    return room.granted


def test_who_has_answered_may_tell_of_more() -> None:
    crowd = Crowd()
    for n in range(MOST_TOLD_BY_AN_UNPROVEN_NODE):
        assert crowd.may_tell("a", proven=False)
        crowd.came(str(n), "a")
    assert not crowd.may_tell("a", proven=False)
    assert crowd.may_tell("a", proven=True)
    assert crowd.may_tell("b", proven=False)
    for n in range(MOST_TOLD_BY_A_PROVEN_NODE):
        crowd.came(f"more-{n}", "a")
    assert not crowd.may_tell("a", proven=True)
    for n in range(MOST_TOLD_BY_A_PROVEN_NODE):
        crowd.went(f"more-{n}", "a")
    assert crowd.may_tell("a", proven=True)


def test_the_unproven_of_the_loudest_make_room_and_the_proven_never_do() -> None:
    view = View("me", 5, 15, crowd=Crowd(most=8))
    for n in range(3):
        assert add(view, f"good-{n}", BROKER, 0.0)
        view.prove(f"good-{n}")
    assert add(view, "shy", "good-0", 1.0)
    for n in range(50):
        assert add(view, f"loud-{n}", "loud", 2.0 + n, alive=True)
    assert len(view.known) == 8
    assert {"good-0", "good-1", "good-2", "shy"} <= view.known.keys()
    for id_ in list(view.known):
        view.prove(id_)
    assert not add(view, "late", "loud", 99.0, alive=True), "everybody is proven"
    assert len(view.forgotten) == 46


def test_who_speaks_for_itself_makes_room_for_others_of_its_address() -> None:
    view = View("me", 5, 15)
    add(view, "good", AT + "198.18.0.1", 0.0, alive=True)
    view.prove("good")
    add(view, "other", AT + "198.18.0.2", 0.0, alive=True)
    for n in range(MOST_AT_AN_ADDRESS + 50):
        assert add(view, f"loud-{n}", AT + "198.18.0.1", 1.0 + n, alive=True)
    assert len(view.known) == MOST_AT_AN_ADDRESS + 2
    assert {"good", "other", f"loud-{MOST_AT_AN_ADDRESS + 49}"} <= view.known.keys()


def test_newcomers_of_one_address_are_taken_at_a_rate() -> None:
    newcomers = Newcomers()
    assert sum(newcomers.may_come("a", 0.0) for _ in range(2 * NEWCOMERS_AT_ONCE)) == NEWCOMERS_AT_ONCE
    assert newcomers.may_come("b", 0.0)
    assert sum(newcomers.may_come("a", 1.0) for _ in range(2 * NEWCOMERS_AT_ONCE)) == NEWCOMERS_PER_SECOND
    for n in range(MOST_ADDRESSES):
        newcomers.may_come(str(n), 2.0)
    assert len(newcomers._left) == MOST_ADDRESSES


def test_who_died_unproven_is_forgotten_before_others() -> None:
    view = View("me", 5, 15)
    add(view, "proven", BROKER, 0.0)
    add(view, "unproven", BROKER, 0.0)
    add(view, "left", BROKER, 0.0)
    view.prove("proven")
    view.heard_goodbye(Goodbye("left", 5, 10))
    assert view.forgettable(700.0, left=600.0, dead=1e6) == ["left"]
    assert view.forgettable(4000.0, left=1e5, dead=1e6) == ["unproven"]
    assert set(view.forgettable(2e6, left=1e5, dead=1e6)) == {"proven", "unproven", "left"}
    assert set(view.forgettable(200.0, left=1e5, dead=100.0)) == {"proven", "unproven", "left"}
