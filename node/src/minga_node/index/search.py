"""Searches of the index, a page at a time (keyset pagination: a page begins after a key, not at a count)."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from minga_node.errors import BadRequest
from minga_node.index.conditions import Conditions, Row, after_prefix, conditions, trigrams
from minga_node.index.logs import Logs
from minga_node.index.plans import Way, estimate
from minga_node.index.query import LONGEST, Query, read_cursor, write_cursor
from minga_node.index.rows import RowReader
from minga_node.index.sample import Sample
from minga_node.index.schema import PAD
from minga_node.model import Page
from minga_node.store import Store

SHORT_TERMS = 400
"""Trigrams that one short word may stand for before it is looked for row by row."""


NOWHERE = '"\x02\x02\x02"'
"""A trigram that no name has."""


@dataclass(frozen=True, slots=True)
class Order:
    """A total order of rows, and the database's index that has it."""

    columns: tuple[str, ...]
    kinds: tuple[type, ...]
    index: str
    key: Callable[[Row], Any]


_BY_NAME = Order(
    ("folded", "name", "content"),
    (str, str, bytes),
    "files_name",
    lambda row: (row.folded, row.name, row.content),
)
ORDERS = {
    "name": _BY_NAME,
    "size": Order(("size", "file"), (int, int), "files_size", lambda row: (row.size, row.file)),
    "modified": Order(
        ("modified", "file"), (int, int), "files_modified", lambda row: (row.modified, row.file)
    ),
    "holders": Order(("holders", "file"), (int, int), "files_holders", lambda row: (row.holders, row.file)),
}

RANKS = (
    ("(f.folded = ?1 OR substr(f.folded, -length(?1) - 1) = '/' || ?1)"),
    ("((f.folded >= ?1 AND f.folded < ?2) OR instr(f.folded, '/' || ?1)) "
     "AND NOT (f.folded = ?1 OR substr(f.folded, -length(?1) - 1) = '/' || ?1)"),
    ("NOT ((f.folded >= ?1 AND f.folded < ?2) OR instr(f.folded, '/' || ?1))"),
)  # fmt: skip
"""Relevance of a word: it is the name or the last part of it; the name or a part begins with it; the rest."""


class Searcher:
    def __init__(self, store: Store, logs: Logs, rows: RowReader) -> None:
        self._store, self._logs, self._rows = store, logs, rows
        self._sample = Sample()

    def search(self, query: Query) -> Page:
        if len(query.text) > LONGEST:
            raise BadRequest(f"what to look for has at most {LONGEST} characters")
        if query.limit < 1:
            raise BadRequest(f"limit is {query.limit}: expected at least 1")
        sort, descending = query.order()
        wanted = self._conditions(query)
        with self._snapshot() as db:
            if sort == "relevance":
                found, cursor = self._by_relevance(db, query, wanted)
            else:
                order = ORDERS[sort]
                name = f"-{sort}" if descending else sort
                after = read_cursor(query.cursor, name, order.kinds) if query.cursor else None
                found = self._page(db, wanted, order, descending, after, query.limit + 1)
                cursor = None
                if len(found) > query.limit:
                    found = found[: query.limit]
                    cursor = write_cursor(name, found[-1][6:])
            return Page(self._rows.rows(db, found), cursor)

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
        db = self._store.read()
        if db.in_transaction:
            yield db
            return
        db.execute("BEGIN")
        try:
            yield db
        finally:
            db.execute("ROLLBACK")

    def _by_relevance(
        self, db: sqlite3.Connection, query: Query, wanted: Conditions
    ) -> tuple[list[tuple[Any, ...]], str | None]:
        (word,) = wanted.terms
        rank, after = 0, None
        if query.cursor:
            rank, *key = read_cursor(query.cursor, "relevance", (int, *_BY_NAME.kinds))
            after = tuple(key)
        if not 0 <= rank < len(RANKS):
            raise BadRequest("the cursor is not one")
        found: list[tuple[Any, ...]] = []
        for tier in range(rank, len(RANKS)):
            key_after = after if tier == rank else None
            rows = self._page(
                db, wanted, _BY_NAME, False, key_after, query.limit + 1 - len(found), (tier, word)
            )
            found += [(*row, tier) for row in rows]
            if len(found) > query.limit:
                found = found[: query.limit]
                *_, folded, name, content, last = found[-1]
                return found, write_cursor("relevance", (last, folded, name, content))
        return found, None

    def _page(
        self,
        db: sqlite3.Connection,
        wanted: Conditions,
        order: Order,
        descending: bool,
        after: tuple[Any, ...] | None,
        limit: int,
        ranked: tuple[int, str] | None = None,
    ) -> list[tuple[Any, ...]]:
        clauses, values = wanted.sql()
        named: list[Any] = []
        if ranked:
            tier, word = ranked
            # Numbered parameters come first, then those by position go on after them.
            named = [word, after_prefix(word)]
            clauses.insert(0, RANKS[tier])
        if after is not None:
            marks = ",".join("?" * len(after))
            columns = ",".join(f"f.{column}" for column in order.columns)
            clauses.append(f"({columns}) {'<' if descending else '>'} ({marks})")
            values += after
        source, index, first = self._source(db, wanted, order, descending, after, limit, ranked)
        direction = " DESC" if descending else ""
        # The numbered ones must be seen before any plain mark, or SQLite would count them in.
        prelude = "WITH given AS (SELECT ?1, ?2) " if named else ""
        statement = (
            f"{prelude}SELECT f.file, f.name, f.content, f.size, f.media_type, f.modified, "
            f"{', '.join(f'f.{column}' for column in order.columns)} FROM {source}files f{index} "
            f"{'ON f.file = c.file ' if source else ''}{'WHERE ' + ' AND '.join(clauses) if clauses else ''} "
            f"ORDER BY {', '.join(f'f.{column}{direction}' for column in order.columns)} LIMIT {limit}"
        )
        return db.execute(statement, [*named, *first, *values]).fetchall()

    def _source(
        self,
        db: sqlite3.Connection,
        wanted: Conditions,
        order: Order,
        descending: bool,
        after: tuple[Any, ...] | None,
        limit: int,
        ranked: tuple[int, str] | None,
    ) -> tuple[str, str, list[Any]]:
        """Where rows come from: a table expression ``c`` or none, the index to walk, its values."""
        sample, total = self._sample.refresh(db)
        (until,) = db.execute("SELECT file FROM names_until").fetchone()
        tail = max(db.execute("SELECT ifnull(max(file), 0) FROM files").fetchone()[0] - until, 0)
        unknown = tail + 1 if not sample else tail
        walk = "", f" INDEXED BY {order.index}", list[Any]()
        if ranked is not None and ranked[0] == 0:
            word = ranked[1]
            found = self._match(db, [f"/{word}{PAD}"])
            if found is not None:
                match, _ = found
                sql = (
                    "(SELECT file FROM files WHERE folded = ? "
                    "UNION SELECT rowid FROM names WHERE names MATCH ? "
                    "UNION SELECT file FROM files WHERE file > ?) c CROSS JOIN "
                )
                return sql, "", [word, match, until]
        ordered = self._sample.ordered(order.index, order.key, descending=descending)
        ways = estimate(
            wanted, ordered, total, unknown, order.key,
            descending=descending, after=after, limit=limit, tier=ranked,
        )  # fmt: skip
        for way in ways:
            if way.way is Way.WALK:
                return walk
            if way.way is Way.HOLDER:
                return "(SELECT file FROM held WHERE log = ?) c CROSS JOIN ", "", [wanted.holder]
            if way.way is Way.BEGINS:
                sql = "(SELECT file FROM files WHERE folded >= ? AND folded < ?) c CROSS JOIN "
                return sql, "", [wanted.begins, after_prefix(wanted.begins)]
            if way.way is Way.STARTS and ranked is not None:
                word = ranked[1]
                found = self._match(db, [f"/{word}"])
                if found is None:
                    continue
                sql = (
                    "(SELECT file FROM files WHERE folded >= ? AND folded < ? "
                    "UNION SELECT rowid FROM names WHERE names MATCH ? "
                    "UNION SELECT file FROM files WHERE file > ?) c CROSS JOIN "
                )
                # Nothing is no expression.
                return sql, "", [word, after_prefix(word), found[0] or NOWHERE, until]
            if way.way is Way.SIZES:
                least = wanted.min_size if wanted.min_size is not None else 0
                most = wanted.max_size if wanted.max_size is not None else 2**63 - 1
                sql = "(SELECT file FROM files WHERE size BETWEEN ? AND ?) c CROSS JOIN "
                return sql, "", [least, most]
            found = self._match(db, wanted.literals())
            if found is None:
                continue
            match, empty = found
            tail_sql = "SELECT file FROM files WHERE file > ?"
            if empty:
                return f"({tail_sql}) c CROSS JOIN ", "", [until]
            sql = f"(SELECT rowid AS file FROM names WHERE names MATCH ? UNION ALL {tail_sql}) c CROSS JOIN "
            return sql, "", [match, until]
        return walk

    def _match(
        self, db: sqlite3.Connection, literals: tuple[str, ...] | list[str]
    ) -> tuple[str, bool] | None:
        """A full-text expression that finds at least the names with all of these, and whether it finds none;
        None where the full-text index is no help."""
        grams = sorted({gram for literal in literals for gram in trigrams(literal)})
        if grams:
            return " AND ".join(_quoted(gram) for gram in grams), False
        # Only words of one or two characters: every trigram that begins so.
        longest = max(literals, key=len, default="")
        if not longest:
            return None
        terms = db.execute(
            "SELECT term FROM trigrams WHERE term >= ? AND term < ? LIMIT ?",
            (longest, after_prefix(longest), SHORT_TERMS + 1),
        ).fetchall()
        if len(terms) > SHORT_TERMS:
            return None
        if not terms:
            return "", True
        return " OR ".join(_quoted(term) for (term,) in terms), False


def _quoted(term: str) -> str:
    return '"' + term.replace('"', '""') + '"'
