"""Who is known of a swarm."""

from __future__ import annotations

from random import Random

from minga_node.downloads.neighbours import AFTER_CORRUPT, MOST_INTRODUCED, Neighbours
from minga_node.model import Peer


def test_who_is_introduced_is_chosen_once_it_is_known_where_it_is() -> None:
    neighbours = Neighbours("self", Random(1))
    assert neighbours.introduce(["near", "self"])
    assert not neighbours.introduce(["near"])
    assert neighbours.unknown() == {"near"}
    assert neighbours.choose(0.0, []) == []
    near = Peer("near", 1, "127.0.0.1", 1, 2, 3)
    (chosen,) = neighbours.choose(0.0, [near])
    assert chosen.peer == near


def test_a_bound_on_names_that_nobody_has() -> None:
    neighbours = Neighbours("self", Random(1))
    for number in range(2 * MOST_INTRODUCED):
        neighbours.introduce([f"nobody-{number}"], follow=True)
    assert len(neighbours._introduced) == len(neighbours._followers) == MOST_INTRODUCED


def peer(name: str, started: int = 1) -> Peer:
    return Peer(name, 1, "127.0.0.1", 1, 2, 3, started=started)


def test_wrong_pieces_on_two_connections_at_once_are_one_lie() -> None:
    neighbours = Neighbours("self", Random(1))
    neighbours.update([(peer("holder"), True)])
    (holder,) = neighbours.choose(0.0, [])
    holder.lied(0.0)
    holder.lied(0.0)
    assert neighbours.choose(AFTER_CORRUPT - 0.1, []) == []
    assert neighbours.choose(AFTER_CORRUPT, []) == [holder]
    holder.struck = False  # connected again
    holder.lied(AFTER_CORRUPT)
    assert neighbours.choose(60.0, []) == []
    assert not neighbours.hopeful


def test_who_lied_before_is_not_asked_by_the_next_attempt() -> None:
    neighbours = Neighbours("self", Random(1), lies={"holder": 2})
    neighbours.update([(peer("holder"), True)])
    assert neighbours.choose(0.0, []) == []


def test_who_has_nothing_is_no_liar_and_is_asked_again_after_it_has_started_anew() -> None:
    neighbours = Neighbours("self", Random(1))
    neighbours.update([(peer("holder"), True)])
    (holder,) = neighbours.choose(0.0, [])
    holder.denied = True
    neighbours.update([(peer("holder"), True)])
    assert (neighbours.choose(1.0, []), neighbours.hopeful, neighbours.lies()) == ([], False, {})
    neighbours.update([(peer("holder", started=2), True)])
    assert neighbours.choose(1.0, []) == [holder]


def test_who_shares_it_no_more_is_not_asked() -> None:
    neighbours = Neighbours("self", Random(1))
    neighbours.update([(peer("holder"), True)])
    neighbours.update([])
    assert (neighbours.choose(1.0, []), neighbours.hopeful) == ([], False)
