"""Who is known of a swarm."""

from __future__ import annotations

from random import Random

from minga_node.downloads.neighbours import MOST_INTRODUCED, Neighbours
from minga_node.model import Peer


def test_who_is_introduced_is_chosen_once_it_is_known_where_it_is() -> None:
    neighbours = Neighbours("self", Random(1))
    assert neighbours.introduce(["near", "self"])
    assert not neighbours.introduce(["near"])
    assert neighbours.choose(0.0, lambda _: None) == []
    near = Peer("near", 1, "127.0.0.1", 1, 2, 3)
    (chosen,) = neighbours.choose(0.0, {"near": near}.get)
    assert chosen.peer == near


def test_a_bound_on_names_that_nobody_has() -> None:
    neighbours = Neighbours("self", Random(1))
    for number in range(2 * MOST_INTRODUCED):
        neighbours.introduce([f"nobody-{number}"], follow=True)
    assert len(neighbours._introduced) == len(neighbours._followers) == MOST_INTRODUCED
