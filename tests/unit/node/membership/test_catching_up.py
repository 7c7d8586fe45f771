"""Catching up by a stream, with a peer of the test's own."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence

import pytest

from minga_node.errors import PeerMisbehaved, PeerUnreachable
from minga_node.index import Delta, Entry
from minga_node.membership import catching_up
from minga_node.membership.catching_up import CatchUp, Part


def parts(count: int) -> Iterator[Part]:
    for n in range(count):
        yield (Delta("peer", 1, n, n + 1, False, 0, [Entry(n + 1, f"n{n}", bytes(32))]),)


class Applied:
    def __init__(self, *, news: bool = True) -> None:
        self.deltas: list[Delta] = []
        self.largest = 0
        self._news = news

    def __call__(self, deltas: Sequence[Delta]) -> bool:
        self.deltas += deltas
        self.largest = max(self.largest, len(deltas))
        return self._news


def test_everything_is_applied_in_order() -> None:
    applied = Applied()
    assert CatchUp(applied).run(lambda: parts(50))
    assert [delta.to_version for delta in applied.deltas] == list(range(1, 51))


def test_one_transaction_has_a_bounded_number_of_entries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catching_up, "ENOUGH", 2)
    applied = Applied()
    CatchUp(applied).run(lambda: parts(50))
    assert applied.largest <= 2


def test_what_came_before_a_failure_is_applied() -> None:
    def failing() -> Iterator[Part]:
        yield from parts(3)
        raise PeerUnreachable("it is gone")

    applied = Applied()
    with pytest.raises(PeerUnreachable):
        CatchUp(applied).run(failing)
    assert len(applied.deltas) == 3


def test_a_peer_that_breaks_the_protocol_is_not_read_on() -> None:
    closed = threading.Event()

    def endless() -> Iterator[Part]:
        try:
            yield from parts(10**9)
        finally:
            closed.set()

    def refuse(_deltas: Sequence[Delta]) -> bool:
        raise PeerMisbehaved("no honest node sends this")

    with pytest.raises(PeerMisbehaved):
        CatchUp(refuse).run(endless)
    assert closed.wait(10)


def test_a_stream_without_news_ends() -> None:
    applied = Applied(news=False)
    assert not CatchUp(applied).run(lambda: parts(10**9))


def test_there_is_one_at_a_time() -> None:
    applied = Applied()
    catch_up = CatchUp(applied)
    asked: list[bool] = []

    def meanwhile() -> Iterator[Part]:
        asked.append(catch_up.run(lambda: parts(1)))
        yield from parts(1)

    assert catch_up.run(meanwhile)
    assert asked == [False]
    assert len(applied.deltas) == 1
    assert catch_up.run(lambda: parts(1))


def test_a_node_that_stops_does_not_wait_for_the_stream() -> None:
    waits = threading.Event()

    def silent() -> Iterator[Part]:
        yield from parts(1)
        catch_up.stop()
        waits.wait(20)

    catch_up = CatchUp(Applied())
    done = threading.Thread(target=catch_up.run, args=(silent,))
    done.start()
    done.join(5)
    assert not done.is_alive()
    waits.set()
