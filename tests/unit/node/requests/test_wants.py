"""What thousands of wants cost, and that what has ended is forgotten."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from minga_node.errors import Conflict, NotFound
from minga_node.index import Index
from minga_node.model import FileRow, LocalFile
from minga_node.requests import Wants, WantState
from minga_node.requests.want_records import MOST_ENDED_WANTS
from minga_node.requests.wants import DENIED_SECONDS
from minga_node.store import Store


class CountingIndex(Index):
    looked_up = 0

    def by_name(self, name: str) -> tuple[FileRow, ...]:
        self.looked_up += 1
        return super().by_name(name)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(tmp_path / "s.db")
    yield made
    made.close()


@pytest.fixture
def index(store: Store) -> Iterator[CountingIndex]:
    made = CountingIndex(store, "me")
    yield made
    made.close()


@pytest.fixture
def fetched() -> list[tuple[str, str]]:
    return []


@pytest.fixture
def wants(store: Store, index: Index, fetched: list[tuple[str, str]]) -> Wants:
    return Wants(store, index, None, "net", lambda content_id, name: fetched.append((content_id, name)))


def test_a_want_whose_fetch_ends_as_nobody_has_it_waits_again(
    store: Store, index: CountingIndex, fetched: list[tuple[str, str]]
) -> None:
    now = [0.0]
    wants = Wants(store, index, None, "net", lambda id_, name: fetched.append((id_, name)), lambda: now[0])
    want, other = wants.add("a.bin", fetch=True), wants.add("a.bin")
    one, two = "ab" * 32, "cd" * 32
    index.publish([LocalFile("a.bin", one, 1, "text/plain", 0)])
    wants.worker.once()
    wants.worker.once()
    assert fetched == [(one, "a.bin")]
    wants.gone(one)
    wants.worker.once()
    assert (wants.get(want.id).state, wants.get(want.id).found_id) == (WantState.WAITING, "")
    assert wants.get(other.id).state is WantState.AVAILABLE, "it was told, and fetches nothing"
    wants.worker.once()
    assert fetched == [(one, "a.bin")], "the index may still say that it is there"
    index.publish([LocalFile("a.bin", two, 1, "text/plain", 0)])
    wants.worker.once()
    wants.worker.once()
    assert fetched == [(one, "a.bin"), (two, "a.bin")]
    wants.gone(two)
    wants.worker.once()
    now[0] += DENIED_SECONDS
    wants.worker.once()
    wants.worker.once()
    assert fetched[2:] == [(two, "a.bin")]


def calls(function: Callable[[], object]) -> int:
    """Python functions that are called meanwhile: work, whatever else the machine does."""
    count = 0

    def count_call(_frame: object, event: str, _argument: Any) -> None:
        nonlocal count
        count += event == "call"

    sys.setprofile(count_call)
    try:
        function()
    finally:
        sys.setprofile(None)
    return count


def shared(index: Index, name: str, content_id: str = "ab" * 32) -> None:
    index.publish([LocalFile(name, content_id, 3, "text/plain", 1, True)])


def test_one_more_want_costs_the_same_however_many_there_are(wants: Wants) -> None:
    def add_some() -> None:
        for number in range(20):
            wants.add(f"w{number}.bin")

    first = calls(add_some)
    for number in range(300):
        wants.add(f"between{number}.bin")
    assert calls(add_some) < 1.5 * first


def test_a_look_asks_the_index_only_for_what_is_there(wants: Wants, index: CountingIndex) -> None:
    for number in range(600):
        wants.add(f"w{number}.bin")
    shared(index, "w7.bin")
    index.looked_up = 0
    wants.look()
    assert index.looked_up == 1
    assert [want.name for want in wants.list() if want.state is WantState.AVAILABLE] == ["w7.bin"]


def test_a_want_by_id_is_found_under_any_name(wants: Wants, index: CountingIndex) -> None:
    want = wants.add(content_id="cd" * 32)
    other = wants.add(content_id="ce" * 32)
    shared(index, "Über alles.txt", "cd" * 32)
    wants.look()
    assert (wants.get(want.id).state, wants.get(want.id).found_name) == ("available", "Über alles.txt")
    assert wants.get(other.id).state is WantState.WAITING


def test_names_are_compared_exactly(wants: Wants, index: CountingIndex) -> None:
    want = wants.add("Straße.txt")
    shared(index, "STRASSE.txt")
    wants.look()
    assert wants.get(want.id).state is WantState.WAITING


def test_what_ended_long_ago_is_forgotten(wants: Wants, store: Store) -> None:
    withdrawn = [wants.add(f"w{number}.bin").id for number in range(MOST_ENDED_WANTS + 5)]
    waiting = wants.add("open.bin").id
    with store.write() as db:
        db.execute("UPDATE wants SET state = 'withdrawn' WHERE id != ?", (waiting,))
        db.executemany(
            "UPDATE wants SET created = ? WHERE id = ?", [(at, id_) for at, id_ in enumerate(withdrawn)]
        )
    wants.look()
    assert len(wants.list()) == MOST_ENDED_WANTS + 1
    assert wants.get(waiting).state is WantState.WAITING
    with pytest.raises(NotFound):
        wants.get(withdrawn[4])
    wants.get(withdrawn[5])


def test_more_open_wants_than_are_kept_are_refused(wants: Wants, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("minga_node.requests.want_records.MOST_OPEN_WANTS", 2)
    wants.add("a.bin")
    wants.add("b.bin")
    with pytest.raises(Conflict, match="2 wants are open"):
        wants.add("c.bin")
