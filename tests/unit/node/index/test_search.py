"""Every search finds exactly what a look at each row finds, whatever way it takes."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any

import pytest

from minga_node.errors import BadRequest
from minga_node.index import Delta, Entry, Index, Query
from minga_node.index.fold import fold
from minga_node.index.search import plans, searcher
from minga_node.index.search.plans import Estimate, Way
from minga_node.index.search.ranks import relevance
from minga_node.model import FileRow
from minga_node.store import Store
from tests.waiting import wait_for

WORDS = ["llama", "Información", "model", "a", "Zürich", "data", "qz", "report", "x", "STRASSE", "straße"]
KINDS = [("bin", "application/octet-stream"), ("pdf", "application/pdf"), ("png", "image/png")]


def entries(log: int, count: int) -> list[Entry]:
    dice = random.Random(log)
    made: dict[str, Entry] = {}
    for version in range(1, count + 1):
        extension, media = dice.choice(KINDS)
        parts = [f"{dice.choice(WORDS)}-{dice.randrange(200)}" for _ in range(dice.randint(1, 3))]
        name = "/".join(parts) + f".{extension}"
        content = dice.randrange(3).to_bytes(32, "big")
        made[name] = Entry(
            version, name, content, len(name) * 100 + content[-1], media, version % 7, bool(log % 3)
        )
    return sorted(made.values())


@pytest.fixture(scope="module", params=["tidy", "with a tail"])
def index(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Index]:
    """With all rows in all indices, or half of them only in those that are written at once."""
    store = Store(tmp_path_factory.mktemp("index") / "s.db")
    made = Index(store, "me")
    made.online = lambda peer: peer in {"peer-1", "peer-3"}
    behind = "SELECT (SELECT min(file, ordered) FROM names_until) < (SELECT max(file) FROM files)"

    def lags() -> bool:
        return bool(store.rows(behind)[0][0])

    for log in range(4):
        if log == 2 and request.param == "with a tail":
            wait_for(lambda: not lags(), "the names of the first half are in the full-text index")
            made.close()
        found = entries(log, 1400)
        made.apply(Delta(f"peer-{log}", 1, 0, found[-1].version, False, 0, found))
    if request.param == "tidy":
        wait_for(lambda: not lags(), "all names are in the full-text index")
    else:
        assert lags()
    yield made
    made.close()
    store.close()


@pytest.fixture(scope="module")
def everything(index: Index) -> list[FileRow]:
    with index._store.read() as db:
        return list(index._rows.select(db, "", ()))


def wanted(row: FileRow, query: Query) -> bool:
    folded = fold(row.name)
    text = fold(query.text)
    if query.prefix:
        named = folded.startswith(text)
    elif query.is_glob:
        named = fnmatchcase(folded, text) or ("/" not in text and fnmatchcase(folded, f"*/{text}"))
    else:
        named = all(term in folded for term in query.terms())
    return (
        named
        and (query.min_size is None or row.size >= query.min_size)
        and (query.max_size is None or row.size <= query.max_size)
        and (query.media_type is None or fnmatchcase(row.media_type, query.media_type))
        and (query.holder is None or query.holder in {holder.peer_id for holder in row.holders})
        and sum(holder.complete for holder in row.holders) >= query.min_holders
        and (not query.available or row.available)
        and (not query.under or row.name.startswith(query.under))
    )


QUERIES = [
    Query("llama"), Query("informacion"), Query("ZURICH"), Query("strasse"), Query("qz"), Query("x"),
    Query("-1"), Query("a"), Query("/"), Query("nothing-like-it"), Query("%"), Query("model llama"),
    Query('"llama-1/mo"'), Query("in", prefix=True), Query("llama-1", prefix=True), Query("*.pdf"),
    Query("llama-1?.bin"), Query("model*/*qz*"), Query("[a-d]*"), Query("data", min_size=2000, max_size=2200),
    Query("qz 7"), Query(min_size=3000),
    Query("report", media_type="image/*"), Query(media_type="application/pdf"),
    Query(holder="peer-2"), Query("model", holder="peer-3"), Query(holder="nobody"), Query(min_holders=2),
    Query("data", min_holders=1, media_type="image/*", holder="peer-1", min_size=1000, available=True),
    Query("llama", available=True), Query(),
    Query(under=("llama-1",)), Query("pdf", under=("Información-", "qz-7/")), Query(under=("straße-",)),
    Query("model", under=("STRASSE-",), min_holders=1), Query(under=("nothing/",)), Query(under=("x", "x-1")),
    Query("model", prefix=True, under=("model-1",)), Query("*.png", under=("Zürich-", "a")),
]  # fmt: skip
ALL_WAYS = [None, *Way]


def _applies(query: Query, way: Way | None) -> bool:
    """Whether a search may go this way at all."""
    applies = {
        Way.HOLDER: query.holder is not None,
        Way.SIZES: query.min_size is not None or query.max_size is not None,
        Way.BEGINS: query.prefix,
        Way.UNDER: bool(query.under),
        Way.STARTS: len(query.terms()) == 1,
        Way.NAMES: bool(query.text),
        Way.TYPE: query.media_type is not None,
        Way.COPIES: query.min_holders > 0,
        Way.ONLINE: query.available,
    }
    return way is None or applies.get(way, True)


def _id(query: Query) -> str:
    default = Query()
    changed = [
        f"{field.name}={getattr(query, field.name)}"
        for field in dataclasses.fields(query)
        if getattr(query, field.name) != getattr(default, field.name)
    ]
    return " ".join(changed) or "everything"


def pages(index: Index, query: Query) -> list[FileRow]:
    found: list[FileRow] = []
    while True:
        page = index.search(query)
        assert len(page.rows) <= query.limit
        found += page.rows
        if page.next_cursor is None:
            return found
        query = dataclasses.replace(query, cursor=page.next_cursor)


@pytest.mark.parametrize(
    ("query", "way"),
    [(query, way) for query in QUERIES for way in ALL_WAYS if _applies(query, way)],
    ids=lambda each: _id(each) if isinstance(each, Query) else each.value if each else "cheapest",
)
def test_all_pages_together_are_what_is_wanted(
    index: Index,
    everything: list[FileRow],
    query: Query,
    way: Way | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if way is not None:

        def forced(*args: object, **kwargs: object) -> list[Estimate]:
            ways = plans.estimate(*args, **kwargs)  # type: ignore[arg-type]
            return sorted(ways, key=lambda each: each.way is not way)

        monkeypatch.setattr(searcher, "estimate", forced)
    found = pages(index, dataclasses.replace(query, limit=3000))
    expected = [row for row in everything if wanted(row, query)]
    assert len(found) == len(expected)
    assert set(found) == set(expected)


@pytest.mark.parametrize(
    "sort", ["name", "-name", "size", "-size", "modified", "-modified", "holders", "-holders"]
)
def test_rows_come_in_order_and_each_once(index: Index, sort: str) -> None:
    found = pages(index, Query("llama", sort=sort, limit=37))
    keys_of: dict[str, list[Any]] = {
        "name": [fold(row.name) for row in found],
        "size": [row.size for row in found],
        "modified": [row.modified_ms for row in found],
        "holders": [sum(holder.complete for holder in row.holders) for row in found],
    }
    keys = keys_of[sort.removeprefix("-")]
    assert keys == sorted(keys, reverse=sort.startswith("-"))
    assert len(found) == len({(row.name, row.id) for row in found})


def test_relevance_is_exact_names_then_beginnings_then_the_rest(index: Index) -> None:
    found = pages(index, Query("a-1", limit=50))
    ranks = [relevance(fold(row.name), "a-1") for row in found]
    assert ranks == sorted(ranks)
    assert {1, 2} <= set(ranks)


@pytest.mark.parametrize(
    "query",
    [Query(sort="colour"), Query(cursor="nonsense"), Query(cursor="W10"), Query("x" * 600), Query(limit=0)],
    ids=["sort", "cursor", "empty cursor", "long", "limit"],
)
def test_nonsense_is_refused(index: Index, query: Query) -> None:
    with pytest.raises(BadRequest):
        index.search(query)


def test_a_cursor_of_another_sort_is_refused(index: Index) -> None:
    cursor = index.search(Query("llama", sort="size", limit=1)).next_cursor
    with pytest.raises(BadRequest, match="another search"):
        index.search(Query("llama", sort="name", cursor=cursor))


@pytest.mark.parametrize(
    ("name", "folded"),
    [("Información.PDF", "informacion.pdf"), ("STRASSE", "strasse"), ("straße", "strasse"), ("Å", "a"),
     ("ﬁle", "file"), ("日本語", "日本語"), ("ΑΣ", "ας".replace("ς", "σ"))],
)  # fmt: skip
def test_folding_forgets_case_and_accents(name: str, folded: str) -> None:
    assert fold(name) == folded
