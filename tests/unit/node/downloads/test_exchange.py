"""Who is told of new pieces, and by which way."""

from __future__ import annotations

import queue
from collections.abc import Generator, Iterator
from contextlib import contextmanager

from minga_node.downloads.exchange import FOLLOWERS, INTRODUCTIONS, Exchange
from minga_node.downloads.model import Availability
from minga_node.uploads.connection import PieceNews
from minga_node.wire import piece_set as sets
from tests.waiting import wait_for

ID = "f" * 64
COUNT = 1000


class Connections:
    """Which peers have one, and what was told on it."""

    def __init__(self, *peers: str) -> None:
        self._peers = peers
        self.told: dict[str, int] = {}
        self.followers: list[str] = []
        self.here: tuple[int, int] | None = (0, COUNT)
        self.exchange = Exchange(
            lambda _: self.here, tell=self._tell, on_follower=lambda _, peer: self.followers.append(peer)
        )

    def _tell(self, content_id: str, name: str) -> bool:
        if name in self._peers:
            self.told[name] = self.told.get(name, 0) | self.exchange.news(content_id, name)
        return name in self._peers


def follow(exchange: Exchange, peer: str) -> Generator[Availability, None, None]:
    """What a peer gets on a stream, as the server sends it."""
    box: queue.SimpleQueue[Availability | None] = queue.SimpleQueue()
    subscribed = exchange.subscribe(ID, peer, box.put)
    try:
        yield subscribed.first
        while subscribed.goes_on and (message := box.get(timeout=20)) is not None:
            yield message
    finally:
        subscribed.close()


@contextmanager
def running(exchange: Exchange) -> Iterator[None]:
    exchange.start()
    yield
    exchange.stop()


def test_who_follows_on_a_connection_hears_everything_then_what_is_new() -> None:
    connections = Connections()
    exchange = connections.exchange
    connections.here = sets.of([1, 2]), COUNT
    assert exchange.meet(ID, "near") == PieceNews(sets.of([1, 2]))
    assert connections.followers == ["near"]
    assert exchange.news(ID, "near") == 0
    exchange.announce(ID, 7)
    assert exchange.news(ID, "near") == sets.of([7])
    assert exchange.news(ID, "near") == 0


def test_who_has_no_connection_left_is_forgotten() -> None:
    exchange = Connections().exchange
    exchange.meet(ID, "near")
    exchange.meet(ID, "near")
    exchange.part(ID, "near")
    assert exchange.followers(ID) == 1
    exchange.part(ID, "near")
    assert exchange.followers(ID) == 0


def test_where_enough_follow_others_are_told_so_and_do_not_count() -> None:
    exchange = Connections().exchange
    for number in range(FOLLOWERS):
        assert exchange.meet(ID, f"peer-{number}") is not None
    late = exchange.meet(ID, "late")
    assert late is not None
    assert not late.follows
    assert len(late.others) == INTRODUCTIONS
    exchange.part(ID, "peer-0")
    again = exchange.meet(ID, "late")
    assert again is not None
    assert again.follows


def test_no_more_introductions_wait_than_can_follow() -> None:
    exchange = Connections().exchange
    exchange.meet(ID, "near")
    for number in range(3 * FOLLOWERS):
        exchange.meet(ID, f"passer-{number}")
        exchange.part(ID, f"passer-{number}")
        exchange.meet(ID, "passer-0")
        exchange.part(ID, "passer-0")
    waiting = exchange.others(ID, "near")
    assert len(waiting) == len(set(waiting)) == FOLLOWERS


def test_nobody_follows_what_is_not_here() -> None:
    connections = Connections()
    connections.here = None
    assert connections.exchange.meet(ID, "near") is None
    assert (connections.exchange.followers(ID), connections.followers) == (0, [])


def test_news_go_over_the_connection_for_pieces_and_not_on_the_stream() -> None:
    connections = Connections("near")
    exchange = connections.exchange
    with running(exchange):
        exchange.meet(ID, "near")
        stream = follow(exchange, "near")
        assert next(stream) == Availability(0, everything=True)
        exchange.announce(ID, 7)
        wait_for(lambda: connections.told.get("near") == sets.of([7]), "it is told")
    assert list(stream) == []


def test_who_cannot_be_reached_is_told_on_the_stream() -> None:
    connections = Connections("near")
    exchange = connections.exchange
    with running(exchange):
        near, far = follow(exchange, "near"), follow(exchange, "far")
        assert (next(near).everything, next(far).everything) == (True, True)
        exchange.announce(ID, 7)
        assert next(far) == Availability(sets.of([7]))
        wait_for(lambda: "near" in connections.told, "near is told too")
    assert "far" not in connections.told


def test_who_has_neither_hears_it_when_it_asks() -> None:
    connections = Connections("near")
    exchange = connections.exchange
    with running(exchange):
        exchange.meet(ID, "near")
        exchange.meet(ID, "far")
        exchange.announce(ID, 7)
        wait_for(lambda: "near" in connections.told, "near is told")
        assert exchange.news(ID, "far") == sets.of([7])


def test_a_stream_that_ends_leaves_who_follows_on_a_connection() -> None:
    exchange = Connections().exchange
    exchange.meet(ID, "near")
    stream = follow(exchange, "near")
    next(stream)
    stream.close()
    assert exchange.followers(ID) == 1
    exchange.part(ID, "near")
    assert exchange.followers(ID) == 0


def test_those_who_come_hear_of_those_there_and_these_of_them_once() -> None:
    exchange = Connections().exchange
    assert exchange.meet(ID, "first") == PieceNews()
    assert exchange.meet(ID, "second") == PieceNews(others=("first",))
    third = exchange.meet(ID, "third")
    assert third is not None
    assert set(third.others) == {"first", "second"}
    assert exchange.others(ID, "first") == ("second", "third")
    assert exchange.others(ID, "first") == ()
    assert exchange.others(ID, "third") == ()


def test_introductions_go_with_news_on_a_stream() -> None:
    exchange = Connections().exchange
    with running(exchange):
        first = follow(exchange, "first")
        next(first)
        second = follow(exchange, "second")
        assert next(second).others == ("first",)
        exchange.announce(ID, 7)
        assert next(first) == Availability(sets.of([7]), others=("second",))


def test_nobody_is_told_twice() -> None:
    connections = Connections("near")
    exchange = connections.exchange
    with running(exchange):
        exchange.meet(ID, "near")
        exchange.announce(ID, 7)
        assert exchange.news(ID, "near") in {0, sets.of([7])}
        exchange.announce(ID, 8)
        wait_for(lambda: connections.told.get("near", 0) & sets.of([8]), "it is told the second")
        assert exchange.news(ID, "near") == 0
