"""Searches of the index, a page at a time (keyset pagination: a page begins after a key, not at a count).

What rows are sorted by does not change while they exist, except the number of holders and the time. For these
a search remembers where in the history of changes it began (``moved.seq``), and every page sorts a row by
what it was then. So each row that exists all the while is shown once, whatever happens between two pages.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from minga_node.errors import BadRequest
from minga_node.index.log import tables
from minga_node.index.log.logs import Logs
from minga_node.index.search.conditions import Conditions, conditions
from minga_node.index.search.orders import BY_NAME, ORDERS, Order
from minga_node.index.search.plans import Estimate, Shape, Walk, Way, estimate
from minga_node.index.search.query import MOST_QUERY_CHARACTERS, Query, read_cursor, write_cursor
from minga_node.index.search.ranks import LAST_RANK, Clause, has_rank, rank_of
from minga_node.index.search.rows import RowReader
from minga_node.index.search.sample import Sample
from minga_node.index.search.sources import RowSource, source
from minga_node.model import Page
from minga_node.store import Store

EXPIRED = "the cursor is too old, too much has changed since: begin the search again"

COUNTED = 50_000
"""Rows of a holder that are counted before a search, in a millisecond or two at most."""

Found = list[tuple[Any, ...]]
"""Six columns of :data:`~.rows.COLUMNS`, then the key."""
_KEY_COLUMN = 6
"""The number of the first column of the key."""


class Searcher:
    def __init__(self, store: Store, logs: Logs, rows: RowReader) -> None:
        self._store, self._logs, self._rows = store, logs, rows
        self._sample = Sample()

    def search(self, query: Query) -> Page:
        if len(query.text) > MOST_QUERY_CHARACTERS:
            raise BadRequest(f"what to look for has at most {MOST_QUERY_CHARACTERS} characters")
        if query.limit < 1:
            raise BadRequest(f"limit is {query.limit}: expected at least 1")
        sort, descending = query.order()
        wanted = self._conditions(query)
        with self._snapshot() as db:
            run = _Run(db, wanted, self._sample, query.limit + 1)
            name = f"-{sort}" if descending else sort
            pinned: tuple[int, ...] = ()
            if sort == "relevance":
                found = self._by_relevance(run, query)
            elif ORDERS[sort].changes:
                found, pinned = self._by_what_changes(run, query, sort, descending)
            else:
                after = read_cursor(query.cursor, name, ORDERS[sort].kinds) if query.cursor else None
                found = run.page(ORDERS[sort], descending, after)
            cursor = None
            if len(found) > query.limit:
                found = found[: query.limit]
                cursor = write_cursor(name, (*pinned, *found[-1][_KEY_COLUMN:]))
            return Page(self._rows.rows(db, found), cursor)

    def _by_relevance(self, run: _Run, query: Query) -> Found:
        (word,) = run.wanted.terms
        kinds = (int, *BY_NAME.kinds)
        rank, *key = read_cursor(query.cursor, "relevance", kinds) if query.cursor else (0,)
        if not 0 <= rank <= LAST_RANK:
            raise BadRequest("the cursor is not one")
        return run.ranked(word, rank, tuple(key) or None)

    def _by_what_changes(
        self, run: _Run, query: Query, sort: str, descending: bool
    ) -> tuple[Found, tuple[int, int]]:
        """The page, and where in which node's history the search began."""
        order = ORDERS[sort]
        name = f"-{sort}" if descending else sort
        newest = tables.moves(run.db)
        began, after = newest, None
        if query.cursor:
            where, began, *key = read_cursor(query.cursor, name, (int, int, *order.kinds))
            after = tuple(key)
            if where != self._store.epoch:
                # Another node's: its history is not this one's, so the order is taken as it is now.
                began = newest
            elif began > newest:
                raise BadRequest("the cursor is not one")
            elif began < newest - tables.MOVES:
                raise BadRequest(EXPIRED)
        return run.page(order, descending, after, began, newest), (self._store.epoch, began)

    def _conditions(self, query: Query) -> Conditions:
        holder = self._logs.self_id if query.scope == "local" else query.holder
        number = None
        if holder is not None:
            number = self._logs.number(holder)
            number = -1 if number is None else number
        online = None
        if query.available:
            online = frozenset(log for log, peer in self._logs.peers().items() if self._rows.online(peer))
        wanted = conditions(query, number, online)
        if query.scope == "local" and query.holder not in {None, self._logs.self_id}:
            # Held here and there: only the smaller set is followed, the other is asked about.
            wanted = replace(wanted, holder=-1)
        return wanted

    @contextmanager
    def _snapshot(self) -> Iterator[sqlite3.Connection]:
        with self._store.read() as db:
            if db.in_transaction:
                yield db
                return
            db.execute("BEGIN")
            try:
                yield db
            finally:
                db.execute("ROLLBACK")


class _Run:
    """One search in one snapshot of the database."""

    def __init__(self, db: sqlite3.Connection, wanted: Conditions, sample: Sample, limit: int) -> None:
        self.db, self.wanted, self._sample, self._limit = db, wanted, sample, limit
        self._rows, total = sample.refresh(db)
        named, ordered, last = db.execute(
            "SELECT file, ordered, ifnull((SELECT max(file) FROM files), 0) FROM names_until"
        ).fetchone()
        self._named, self._ordered = named, ordered
        self._shape = Shape(total, max(0, last - named), max(0, last - ordered), self._held())

    def _held(self) -> int | None:
        """Rows of the holder that is asked for; None where there are too many to count them."""
        if self.wanted.holder is None or not self._rows:
            return None
        (count,) = self.db.execute(
            "SELECT count(*) FROM (SELECT 1 FROM held WHERE log = ? LIMIT ?)", (self.wanted.holder, COUNTED)
        ).fetchone()
        return int(count) if count < COUNTED else None

    def page(
        self,
        order: Order,
        descending: bool,
        after: tuple[Any, ...] | None,
        began: int = 0,
        newest: int = 0,
        tier: tuple[int, str] | None = None,
        limit: int | None = None,
    ) -> Found:
        """Rows after a key; by what they were at ``began`` of the history, whose end is ``newest``."""
        limit = self._limit if limit is None else limit
        extra: list[Clause] = [has_rank(*tier)] if tier else []
        if began < newest:
            extra.append(("NOT EXISTS (SELECT 1 FROM moved m WHERE m.file = f.file AND m.seq > ?)", [began]))
        keyed = [*extra, _after(order.columns, after, descending)] if after is not None else extra
        columns = [f"f.{column}" for column in order.columns]
        ways = self._ways(order, descending, after, limit, tier)
        found = self._select(self._source(ways, order, tier), keyed, columns, descending, limit)
        more: Found = []
        if began < newest:
            was = RowSource(
                f"(SELECT file, {order.columns[0]} AS was, min(seq) FROM moved "
                "WHERE seq > ? GROUP BY file) m CROSS JOIN files f ON f.file = m.file",
                [began],
            )
            columns = ["m.was", *columns[1:]]
            clause = [_after(columns, after, descending)] if after is not None else []
            more += self._select(was, clause, columns, descending, limit)
        if more:
            found = sorted([*found, *more], key=_key, reverse=descending)[:limit]
        return found

    def ranked(self, word: str, rank: int, key: tuple[Any, ...] | None) -> Found:
        """Rows by relevance, after a rank and the key within it."""
        ways = self._ways(BY_NAME, False, None, self._limit, (LAST_RANK, word))
        candidates = [each for each in ways if each.way is not Way.WALK]
        if not self._rows or candidates[0].seconds <= self._seconds_by_rank(word):
            origin = self._source(candidates, BY_NAME, None)
            if not self._rows or not origin.walks:
                return self._all_ranked(origin, word, rank, key)
        found: Found = []
        for tier in range(rank, LAST_RANK + 1):
            rows = self.page(
                BY_NAME,
                False,
                key if tier == rank else None,
                tier=(tier, word),
                limit=self._limit - len(found),
            )
            found += [(*row[:_KEY_COLUMN], tier, *row[_KEY_COLUMN:]) for row in rows]
            if len(found) >= self._limit:
                break
        return found

    def _all_ranked(self, origin: RowSource, word: str, rank: int, key: tuple[Any, ...] | None) -> Found:
        """Looks at all rows of a source and sorts them."""
        expression, values = rank_of(word)
        columns = [expression, *(f"f.{column}" for column in BY_NAME.columns)]
        after: list[Clause] = []
        if key is not None:
            after = [(f"({','.join(columns)}) > (?,?,?,?)", [*values, rank, *key])]
        return self._select(origin, after, columns, False, self._limit, values)

    def _seconds_by_rank(self, word: str) -> float:
        """What it costs to look for one rank after the other."""
        ways = [
            self._ways(BY_NAME, False, None, self._limit, (tier, word))[0] for tier in range(1, LAST_RANK + 1)
        ]
        return sum(each.seconds for each in ways)

    def _ways(
        self,
        order: Order,
        descending: bool,
        after: tuple[Any, ...] | None,
        limit: int,
        tier: tuple[int, str] | None,
    ) -> list[Estimate]:
        walk = Walk(order.key, descending, after, limit, order.is_name, tier)
        sample = self._sample.ordered(order.index, order.key, descending=descending) if self._rows else ()
        return estimate(self.wanted, sample, self._shape, walk)

    def _source(self, ways: Sequence[Estimate], order: Order, tier: tuple[int, str] | None) -> RowSource:
        for each in ways:
            found = source(self.db, each.way, self.wanted, order, (self._named, self._ordered), tier)
            if found is not None:
                return found
        walk = source(self.db, Way.WALK, self.wanted, order, (self._named, self._ordered), tier)
        assert walk is not None
        return walk

    def _select(
        self,
        origin: RowSource,
        extra: Sequence[Clause],
        columns: Sequence[str],
        descending: bool,
        limit: int,
        values_of_columns: Sequence[Any] = (),
    ) -> Found:
        clauses, values = self.wanted.sql()
        if origin.clause:
            clauses, values = [origin.clause, *clauses], [*origin.clause_values, *values]
        for clause, more in extra:
            clauses.append(clause)
            values += more
        direction = " DESC" if descending else ""
        order = ", ".join(f"{_KEY_COLUMN + place}{direction}" for place in range(1, len(columns) + 1))
        select = (
            f"SELECT f.file, f.name, f.content, f.size, f.media_type, f.modified, {', '.join(columns)} FROM "
        )
        tail = f" ORDER BY {order} LIMIT {limit}"
        statement = f"{select}{origin.table}{_where(clauses)}{tail}"
        found = self.db.execute(statement, [*values_of_columns, *origin.values, *values]).fetchall()
        if origin.behind and self._shape.unordered:
            rest = RowSource("files f", [], "f.file > ?", [self._ordered])
            found += self._select(rest, extra, columns, descending, limit, values_of_columns)
            found.sort(key=_key, reverse=descending)
        return found[:limit]


def _key(row: tuple[Any, ...]) -> tuple[Any, ...]:
    return row[_KEY_COLUMN:]


def _where(clauses: Sequence[str]) -> str:
    return f" WHERE {' AND '.join(clauses)}" if clauses else ""


def _after(columns: Sequence[str], key: tuple[Any, ...], descending: bool) -> Clause:
    names = ",".join(column if "." in column else f"f.{column}" for column in columns)
    marks = ",".join("?" * len(key))
    return f"({names}) {'<' if descending else '>'} ({marks})", list(key)
