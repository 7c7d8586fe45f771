"""Pages of a search while the index changes: each row that is there all the while comes once."""

from __future__ import annotations

import dataclasses
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from minga_node.errors import BadRequest
from minga_node.index import SORTS, Delta, Entry, Index, Query
from minga_node.index.log import tables
from minga_node.store import Store

ROWS = 240
EVERY_SORT = [*SORTS, *(f"-{sort}" for sort in SORTS if sort != "relevance")]


class Changing:
    """An index with rows that stay and rows that come and go, in a few logs."""

    def __init__(self, directory: Path, name: str = "me") -> None:
        self.store = Store(directory / name / "s.db")
        self.index = Index(self.store, name)
        self._dice = random.Random(3)
        self._versions: Counter[str] = Counter()
        self.put("peer-0", [self.stay(n) for n in range(ROWS)])
        # A third has more holders from the beginning.
        self.put("peer-1", [self.stay(n) for n in range(0, ROWS, 3)])

    def stay(self, n: int, modified: int = 0) -> Entry:
        """A row that is never without a holder; many have the same size."""
        return Entry(
            0, f"{'' if n % 4 else 'a/'}stable-{n:03d}", bytes([n]) * 32, n // 7, "x/y", modified or n
        )

    def put(self, peer: str, entries: list[Entry]) -> None:
        before = self._versions[peer]
        numbered = [entry._replace(version=before + n) for n, entry in enumerate(entries, 1)]
        self._versions[peer] += len(entries)
        assert self.index.apply(Delta(peer, 1, before, before + len(entries), False, 0, numbered))

    def change(self) -> None:
        dice = self._dice
        for peer in ("peer-1", "peer-2", "peer-3"):
            some = dice.sample(range(ROWS), 12)
            # Holders come and go, and what the earliest of them says of the time changes.
            rows = [self.stay(n, dice.randrange(1, 2 * ROWS)) for n in some]
            self.put(peer, [row if dice.random() < 0.6 else row._replace(content=None) for row in rows])
        others = [f"other-stable-{dice.randrange(20)}" for _ in range(5)]
        for name in others:
            content = None if dice.random() < 0.3 else bytes(32)
            self.put("peer-4", [Entry(0, name, content, dice.randrange(ROWS // 7), "x/y", 1, True)])

    def sorted_by(self) -> dict[str, tuple[int, int]]:
        rows = self.store.rows("SELECT name, holders, modified FROM files")
        return {name: (holders, modified) for name, holders, modified in rows}

    def close(self) -> None:
        self.index.close()
        self.store.close()


@pytest.fixture
def changing(tmp_path: Path) -> Iterator[Changing]:
    made = Changing(tmp_path)
    yield made
    made.close()


@pytest.mark.parametrize("sort", EVERY_SORT)
def test_rows_that_stay_come_once_each_whatever_changes_between_pages(changing: Changing, sort: str) -> None:
    before = changing.sorted_by()
    seen: list[str] = []
    query = Query("stable", sort=sort, limit=9)
    while True:
        page = changing.index.search(query)
        seen += [row.name for row in page.rows]
        if page.next_cursor is None:
            break
        query = dataclasses.replace(query, cursor=page.next_cursor)
        changing.change()
    stable = Counter(name for name in seen if not name.startswith("other"))
    assert stable == Counter({changing.stay(n).name: 1 for n in range(ROWS)})
    after = changing.sorted_by()
    moved = [
        name for name in stable if before[name][0] != after[name][0] and before[name][1] != after[name][1]
    ]
    assert len(moved) > ROWS / 4, "the rows were to change places"


@pytest.mark.parametrize("sort", ["holders", "-modified"])
def test_a_cursor_after_which_too_much_has_changed_is_refused(
    changing: Changing, sort: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "MOVES", 30)
    query = Query("stable", sort=sort, limit=9)
    query = dataclasses.replace(query, cursor=changing.index.search(query).next_cursor)
    assert changing.index.search(query).rows
    for _ in range(5):
        changing.change()
    with pytest.raises(BadRequest, match="begin the search again"):
        changing.index.search(query)


@pytest.mark.parametrize("sort", EVERY_SORT)
def test_a_cursor_goes_on_at_another_node(changing: Changing, tmp_path: Path, sort: str) -> None:
    other = Changing(tmp_path, "other")
    query = Query("stable", sort=sort, limit=100)
    seen: list[str] = []
    for index in (changing.index, other.index, changing.index):
        page = index.search(query)
        seen += [row.name for row in page.rows]
        query = dataclasses.replace(query, cursor=page.next_cursor)
    assert sorted(seen) == sorted(changing.stay(n).name for n in range(ROWS))
    other.close()


def test_the_history_of_changes_is_bounded(changing: Changing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "MOVES", 30)
    for _ in range(20):
        changing.change()
    ((kept,),) = changing.store.rows("SELECT count(*) FROM moved")
    assert kept <= 30
