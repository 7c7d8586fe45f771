"""Who is told of new pieces, and by which way."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from minga_node.downloads.exchange import Exchange
from minga_node.downloads.model import Availability
from minga_node.model import Peer
from minga_node.swarm import pieces as sets
from tests.waiting import wait_for

ID = "f" * 64
COUNT = 1000


def peer(name: str) -> Peer:
    return Peer(name, 1, "127.0.0.1", 0, 0, 0)


class Connections:
    """Which peers have one, and what was told on it."""

    def __init__(self, *peers: str) -> None:
        self._peers = peers
        self.told: dict[str, int] = {}
        self.exchange = Exchange(lambda _: (0, COUNT), tell=self._tell)

    def _tell(self, content_id: str, name: str) -> bool:
        if name in self._peers:
            self.told[name] = self.told.get(name, 0) | self.exchange.news(content_id, name)
        return name in self._peers


@contextmanager
def running(exchange: Exchange) -> Iterator[None]:
    exchange.start()
    yield
    exchange.stop()


def test_news_go_over_the_connection_for_pieces_and_not_on_the_stream() -> None:
    connections = Connections("near")
    exchange = connections.exchange
    with running(exchange):
        stream = exchange.follow(ID, peer("near"))
        assert next(stream) == Availability(0, everything=True)
        exchange.announce(ID, 7)
        wait_for(lambda: connections.told.get("near") == sets.of([7]), "it is told")
    assert list(stream) == []


def test_who_has_no_connection_is_told_on_the_stream() -> None:
    connections = Connections("near")
    exchange = connections.exchange
    with running(exchange):
        near, far = exchange.follow(ID, peer("near")), exchange.follow(ID, peer("far"))
        assert (next(near).everything, next(far).everything) == (True, True)
        exchange.announce(ID, 7)
        assert next(far) == Availability(sets.of([7]))
        wait_for(lambda: "near" in connections.told, "near is told too")
    assert "far" not in connections.told


def test_those_who_come_are_introduced_together() -> None:
    exchange = Connections().exchange
    with running(exchange):
        first, second, third = (exchange.follow(ID, peer(name)) for name in ("first", "second", "third"))
        assert next(first).peers == ()
        assert next(second).peers == (peer("first"),)
        assert set(next(third).peers) == {peer("first"), peer("second")}
        assert next(first) == Availability(0, peers=(peer("second"), peer("third")))
        assert next(second) == Availability(0, peers=(peer("third"),))


def test_nobody_is_told_twice() -> None:
    connections = Connections("near")
    exchange = connections.exchange
    with running(exchange):
        stream = exchange.follow(ID, peer("near"))
        next(stream)
        exchange.announce(ID, 7)
        assert exchange.news(ID, "near") in {0, sets.of([7])}
        exchange.announce(ID, 8)
        wait_for(lambda: connections.told.get("near", 0) & sets.of([8]), "it is told the second")
        assert exchange.news(ID, "near") == 0
    assert list(stream) == []
