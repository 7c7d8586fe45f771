"""Catching up by a stream, with a peer of the test's own."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from itertools import chain, islice

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

    def __call__(self, deltas: Sequence[Delta], middle: bool) -> bool:
        self.deltas += deltas
        self.largest = max(self.largest, len(deltas))
        return self._news


def test_everything_is_applied_in_order() -> None:
    applied = Applied()
    assert CatchUp().run(lambda: parts(50), applied)
    assert [delta.to_version for delta in applied.deltas] == list(range(1, 51))


def test_one_transaction_has_a_bounded_number_of_entries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catching_up, "TOO_MANY", 2)
    applied = Applied()
    CatchUp().run(lambda: parts(50), applied)
    assert applied.largest <= 2


def test_what_came_before_a_failure_is_applied() -> None:
    def failing() -> Iterator[Part]:
        yield from parts(3)
        raise PeerUnreachable("it is gone")

    applied = Applied()
    with pytest.raises(PeerUnreachable):
        CatchUp().run(failing, applied)
    assert len(applied.deltas) == 3


def test_a_peer_that_breaks_the_protocol_is_not_read_on() -> None:
    closed = threading.Event()

    def endless() -> Iterator[Part]:
        try:
            yield from parts(10**9)
        finally:
            closed.set()

    def refuse(_deltas: Sequence[Delta], _middle: bool) -> bool:
        raise PeerMisbehaved("no honest node sends this")

    with pytest.raises(PeerMisbehaved):
        CatchUp().run(endless, refuse)
    assert closed.wait(10)


def test_a_stream_without_news_ends() -> None:
    applied = Applied(news=False)
    assert not CatchUp().run(lambda: parts(10**9), applied)


def test_there_is_one_at_a_time() -> None:
    applied = Applied()
    catch_up = CatchUp()
    asked: list[bool | None] = []

    def meanwhile() -> Iterator[Part]:
        asked.append(catch_up.run(lambda: parts(1), applied))
        yield from parts(1)

    assert catch_up.run(meanwhile, applied)
    assert asked == [None]
    assert len(applied.deltas) == 1
    assert catch_up.run(lambda: parts(1), applied)


def test_a_node_that_stops_does_not_wait_for_the_stream() -> None:
    waits = threading.Event()

    def silent() -> Iterator[Part]:
        yield from parts(1)
        catch_up.stop()
        waits.wait(20)

    catch_up = CatchUp()
    done = threading.Thread(target=catch_up.run, args=(silent, Applied()))
    done.start()
    done.join(5)
    assert not done.is_alive()
    waits.set()


def log(name: str, entries: int, each: int) -> Iterator[Part]:
    """A signed log, in parts of which only the last one has the signature."""
    for start in range(0, entries, each):
        stop = min(start + each, entries)
        made = [Entry(n, f"n{n}", bytes(32)) for n in range(start + 1, stop + 1)]
        yield (Delta(name, 1, start, stop, False, 0, made, b"signed" if stop == entries else b""),)


def runs(stream: Iterator[Part]) -> list[tuple[list[str], int, bool]]:
    """What each transaction gets: the logs, how many entries, whether more of the last log is to come."""
    seen: list[tuple[list[str], int, bool]] = []

    def apply(deltas: Sequence[Delta], middle: bool) -> bool:
        names = list(dict.fromkeys(delta.peer_id for delta in deltas))
        seen.append((names, sum(len(delta.entries) for delta in deltas), middle))
        return True

    CatchUp().run(lambda: stream, apply)
    return seen


def test_a_transaction_ends_where_something_is_signed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catching_up, "ENOUGH", 10)
    monkeypatch.setattr(catching_up, "TOO_MANY", 100)
    seen = runs(chain(log("a", 30, 3), log("b", 30, 3), log("c", 2, 3)))
    assert sum(entries for _, entries, _ in seen) == 62
    assert not any(middle for _, _, middle in seen)
    assert max(entries for _, entries, _ in seen) <= 40


def test_only_a_log_that_is_too_long_is_taken_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catching_up, "ENOUGH", 10)
    monkeypatch.setattr(catching_up, "TOO_MANY", 20)
    assert runs(log("a", 50, 5)) == [(["a"], 20, True), (["a"], 20, True), (["a"], 10, False)]


def test_a_stream_that_ends_before_a_signature_says_so() -> None:
    assert runs(chain(log("a", 5, 5), islice(log("b", 30, 3), 2)))[-1][1:] == (11, False)
