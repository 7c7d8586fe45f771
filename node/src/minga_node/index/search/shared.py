"""Which of many names and contents anybody shares: one statement for hundreds of them."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator, Sequence
from typing import Any

from minga_node.index.fold import fold_all

VALUES_AT_ONCE = 500
"""Values in one statement; SQLite takes 32,766."""


def shared_names(db: sqlite3.Connection, names: Collection[str], log: int | None = None) -> set[str]:
    """The names among ``names`` under which a log, or any log, has a content."""
    found: set[str] = set()
    for some in _parts(names):
        rows = _rows(db, "name", "folded", fold_all(some), log)
        found.update(rows)
    return found & set(names)


def shared_ids(db: sqlite3.Connection, ids: Collection[str], log: int | None = None) -> set[str]:
    """The ids among ``ids`` (64 hex digits each) whose content a log, or any log, has."""
    found: set[str] = set()
    for some in _parts(ids):
        beginnings = [bytes.fromhex(id_)[:8] for id_ in some]
        rows = _rows(db, "content", "substr(content, 1, 8)", beginnings, log)
        found.update(content.hex() for content in rows)
    return found & set(ids)


def _parts(values: Collection[str]) -> Iterator[Sequence[str]]:
    every = list(values)
    return (every[start : start + VALUES_AT_ONCE] for start in range(0, len(every), VALUES_AT_ONCE))


def _rows(
    db: sqlite3.Connection, column: str, key: str, values: Sequence[str | bytes], log: int | None
) -> list[Any]:
    marks = ",".join("?" * len(values))
    of_log = "" if log is None else "AND h.log = ?"
    found = db.execute(
        f"SELECT {column} FROM files f WHERE {key} IN ({marks}) "
        f"AND EXISTS (SELECT 1 FROM held h WHERE h.file = f.file {of_log})",
        (*values, *(() if log is None else (log,))),
    )
    return [value for (value,) in found]
