"""Catching up by a stream, with a peer of the test's own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import chain, islice

import pytest

from minga_node.errors import PeerMisbehaved, PeerUnreachable
from minga_node.index import Delta, Entry
from minga_node.membership import catching_up
from minga_node.membership.catching_up import SLOW_SECONDS, Apply, CatchUp, Part
from minga_node.membership.stream_rate import PATIENCE
from tests.waiting import wait_for


def parts(count: int) -> Iterator[Part]:
    for n in range(count):
        yield (Delta("peer", 1, n, n + 1, False, 0, [Entry(n + 1, f"n{n}", bytes(32))]),)


class Given:
    """A stream that a test makes up."""

    def __init__(self, parts: Iterable[Part], cancel: Callable[[], None] = lambda: None) -> None:
        self._parts, self.cancel = parts, cancel

    def __iter__(self) -> Iterator[Part]:
        return iter(self._parts)


def catch(
    catch_up: CatchUp, parts: Callable[[], Iterable[Part]], apply: Apply, giver: str = "giver"
) -> bool | None:
    return catch_up.run(giver, lambda: Given(parts()), apply)


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
    assert catch(CatchUp(), lambda: parts(50), applied)
    assert [delta.to_version for delta in applied.deltas] == list(range(1, 51))


def test_one_transaction_has_a_bounded_number_of_entries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catching_up, "MOST_WAITING_ENTRIES", 2)
    applied = Applied()
    catch(CatchUp(), lambda: parts(50), applied)
    assert applied.largest <= 2


def test_what_came_before_a_failure_is_applied() -> None:
    def failing() -> Iterator[Part]:
        yield from parts(3)
        raise PeerUnreachable("it is gone")

    applied = Applied()
    with pytest.raises(PeerUnreachable):
        catch(CatchUp(), failing, applied)
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
        catch(CatchUp(), endless, refuse)
    assert closed.wait(10)


def test_a_stream_without_news_ends() -> None:
    applied = Applied(news=False)
    assert not catch(CatchUp(), lambda: parts(10**9), applied)


def test_there_is_one_at_a_time() -> None:
    applied = Applied()
    catch_up = CatchUp()
    asked: list[bool | None] = []

    def meanwhile() -> Iterator[Part]:
        asked.append(catch(catch_up, lambda: parts(1), applied))
        yield from parts(1)

    assert catch(catch_up, meanwhile, applied)
    assert asked == [None]
    assert len(applied.deltas) == 1
    assert catch(catch_up, lambda: parts(1), applied)


def test_a_node_that_stops_does_not_wait_for_the_stream() -> None:
    waits = threading.Event()

    def silent() -> Iterator[Part]:
        yield from parts(1)
        catch_up.stop()
        waits.wait(20)

    catch_up = CatchUp()
    done = threading.Thread(target=catch, args=(catch_up, silent, Applied()))
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

    catch(CatchUp(), lambda: stream, apply)
    return seen


def test_a_transaction_ends_where_something_is_signed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catching_up, "TRANSACTION_ENTRIES", 10)
    monkeypatch.setattr(catching_up, "MOST_WAITING_ENTRIES", 100)
    seen = runs(chain(log("a", 30, 3), log("b", 30, 3), log("c", 2, 3)))
    assert sum(entries for _, entries, _ in seen) == 62
    assert not any(middle for _, _, middle in seen)
    assert max(entries for _, entries, _ in seen) <= 40


def test_only_a_log_that_is_too_long_is_taken_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catching_up, "TRANSACTION_ENTRIES", 10)
    monkeypatch.setattr(catching_up, "MOST_WAITING_ENTRIES", 20)
    assert runs(log("a", 50, 5)) == [(["a"], 20, True), (["a"], 20, True), (["a"], 10, False)]


def test_a_stream_that_ends_before_a_signature_says_so() -> None:
    assert runs(chain(log("a", 5, 5), islice(log("b", 30, 3), 2)))[-1][1:] == (11, False)


class Scenario:
    """A stream from ``slow`` that brings one part and then nothing, until it is cancelled."""

    def __init__(self) -> None:
        self.now = 0.0
        self.catch_up = CatchUp(lambda: self.now)
        self.cancelled, self.asked = threading.Event(), threading.Event()
        self.applied, self.ended = Applied(), threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        assert self.asked.wait(10)
        wait_for(lambda: self.applied.deltas, "the part is applied")

    def _parts(self) -> Iterator[Part]:
        yield from log("a", 1, 1)
        self.asked.set()
        self.cancelled.wait(20)
        raise PeerUnreachable("cancelled")

    def _run(self) -> None:
        with suppress(PeerUnreachable):
            self.catch_up.run("slow", lambda: Given(self._parts(), self.cancelled.set), self.applied)
        self.ended.set()

    def end(self) -> None:
        self.cancelled.set()
        self._thread.join(10)


@pytest.fixture
def scenario(monkeypatch: pytest.MonkeyPatch) -> Iterator[Scenario]:
    monkeypatch.setattr(catching_up, "GIVE_WAY_SECONDS", 30.0)
    made = Scenario()
    yield made
    made.end()


def test_a_stream_that_stalls_gives_way_to_another_peers(scenario: Scenario) -> None:
    applied = Applied()
    assert catch(scenario.catch_up, lambda: parts(3), applied, "quick") is None
    scenario.now += PATIENCE * 1.1
    assert catch(scenario.catch_up, lambda: parts(3), applied, "quick")
    assert scenario.ended.wait(10)
    assert len(applied.deltas) == 3
    assert len(scenario.applied.deltas) == 1, "what it brought before is kept"
    assert not scenario.catch_up.running


def test_who_was_slow_is_not_asked_for_a_while(scenario: Scenario) -> None:
    scenario.now += PATIENCE * 1.1
    assert catch(scenario.catch_up, lambda: parts(1), Applied(), "quick")
    assert catch(scenario.catch_up, lambda: parts(1), Applied(), "slow") is None
    scenario.now += SLOW_SECONDS
    assert catch(scenario.catch_up, lambda: parts(1), Applied(), "slow")


def test_a_slow_stream_goes_on_while_nobody_else_has_one(scenario: Scenario) -> None:
    scenario.now += PATIENCE * 100
    assert catch(scenario.catch_up, lambda: parts(1), Applied(), "slow") is None
    assert not scenario.cancelled.is_set()
    assert scenario.catch_up.running
