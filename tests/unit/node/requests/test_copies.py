"""Copies are dropped only while others keep theirs, whatever happens at the same time."""

from __future__ import annotations

import threading
from typing import Any, cast

import pytest

from minga_node.errors import Conflict, PeerUnreachable
from minga_node.model import Holder, Peer
from minga_node.requests import OwnCopies
from minga_node.requests.drops import surplus

ID = "ab" * 32


class World:
    """Nodes that all have one content; what they ask each other can be held up."""

    def __init__(self, *names: str) -> None:
        self.has = set(names)
        self.nodes = {name: self.node(name) for name in names}
        self.unreachable: set[str] = set()
        self.together: threading.Barrier | None = None
        """Has everybody ask before anybody is answered, and be answered before anybody goes on."""

    def node(self, name: str) -> OwnCopies:
        world = self

        class Index:
            self_id = name

            def holders(self, _content_id: str) -> tuple[Holder, ...]:
                # What everybody believes is old.
                return tuple(Holder(each, True, True) for each in sorted(world.nodes))

        class Library:
            def names_of(self, _content_id: str) -> tuple[str, ...]:
                return ("x",) if name in world.has else ()

            def delete(self, _name: str) -> None:
                world.has.discard(name)

            def open_id(self, _content_id: str) -> Any:
                opened = type("Opened", (), {"stream": type("Stream", (), {"close": lambda _self: None})()})
                return opened if name in world.has else None

        def peer(id_: str) -> Peer:
            return Peer(id_, 1, "198.18.0.1", 1, 2, 3)

        return OwnCopies(
            cast("Any", Index()), cast("Any", Library()), cast("Any", None), lambda: True, peer, self.ask, 300
        )

    def ask(self, peer: Peer, content_id: str) -> bool:
        if self.together is not None:
            self.together.wait(5)
        if peer.id in self.unreachable:
            raise PeerUnreachable(peer.id)
        keeps = self.nodes[peer.id].keeps(content_id)
        if self.together is not None:
            self.together.wait(5)
        return keeps


def test_it_drops_when_enough_others_keep_it_and_not_otherwise() -> None:
    world = World("a", "b", "c")
    world.nodes["a"].drop(ID, 2)
    assert world.has == {"b", "c"}
    with pytest.raises(Conflict, match="1 other nodes keep all of it, and 2 must"):
        world.nodes["b"].drop(ID, 2)
    world.nodes["b"].drop(ID, 1)
    with pytest.raises(Conflict):
        world.nodes["c"].drop(ID, 0)
    assert world.has == {"c"}, "not even when nothing is asked to stay"
    assert world.nodes["c"].keeps(ID)


def test_who_does_not_answer_does_not_count() -> None:
    world = World("a", "b")
    world.unreachable.add("b")
    with pytest.raises(Conflict):
        world.nodes["a"].drop(ID, 1)
    assert world.has == {"a", "b"}


def test_dropping_what_is_not_there_is_done() -> None:
    world = World("a", "b")
    world.has.discard("a")
    world.nodes["a"].drop(ID, 5)
    assert world.has == {"b"}


def test_two_that_drop_in_the_same_moment_both_stay() -> None:
    world = World("a", "b")
    world.together = threading.Barrier(2)
    refused: list[str] = []

    def drop(name: str) -> None:
        try:
            world.nodes[name].drop(ID, 1)
        except Conflict:
            refused.append(name)

    threads = [threading.Thread(target=drop, args=(name,)) for name in world.nodes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert sorted(refused) == ["a", "b"]
    assert world.has == {"a", "b"}
    world.together = None
    world.nodes["a"].drop(ID, 1)
    assert world.has == {"b"}, "one after the other it goes"


def test_what_is_more_than_enough_is_the_same_for_everybody() -> None:
    holders = [f"n{number}" for number in range(6)]
    chosen = surplus(ID, holders, 4)
    assert len(chosen) == 2
    assert chosen == surplus(ID, list(reversed(holders)), 4)
    assert surplus(ID, holders, 6) == []
