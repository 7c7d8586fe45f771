"""Where the rows of a search come from: the SQL of each way to run it."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from minga_node.index.log.table_schema import PAD
from minga_node.index.media import forms
from minga_node.index.search.conditions import Conditions, after_prefix, trigrams
from minga_node.index.search.orders import Order
from minga_node.index.search.plans import Way

SHORT_TERMS = 400
"""Trigrams that one short word may stand for before it is looked for row by row."""
NOWHERE = '"\x02\x02\x02"'
"""A trigram that no name has."""


@dataclass(frozen=True, slots=True)
class RowSource:
    """A table expression in which ``f`` is a row of ``files``."""

    table: str
    values: list[Any]
    clause: str = ""
    clause_values: list[Any] = field(default_factory=list)
    behind: bool = False
    """Whether it lacks the rows that the sorted indices do not have yet."""
    walks: bool = False
    """Whether the rows come in the order that is asked for."""


def source(
    db: sqlite3.Connection,
    way: Way,
    wanted: Conditions,
    order: Order,
    until: tuple[int, int],
    tier: tuple[int, str] | None,
) -> RowSource | None:
    """The rows of a way; None where it is no way after all.

    Args:
        until: the last files that the full-text index and the sorted indices have.
        tier: only rows of this relevance to this word are wanted.
    """
    named, ordered = until
    if tier is not None and tier[0] == 0:
        match = _match(db, [f"/{tier[1]}{PAD}"])
        if match is not None:
            return _in(
                "SELECT file FROM files WHERE folded = ? UNION SELECT rowid FROM names WHERE names MATCH ? "
                "UNION SELECT file FROM files WHERE file > ?",
                tier[1],
                match,
                named,
            )
    match way:
        case Way.WALK:
            behind = not order.is_name
            clause = "f.ordered = 1" if behind else ""
            return RowSource(f"files f INDEXED BY {order.index}", [], clause, behind=behind, walks=True)
        case Way.HOLDER:
            return _in("SELECT file FROM held WHERE log = ?", wanted.holder)
        case Way.ONLINE:
            marks = ",".join(map(str, sorted(wanted.online or ())))
            return _in(f"SELECT DISTINCT file FROM held WHERE complete AND log IN ({marks})")
        case Way.BEGINS:
            return _in(
                "SELECT file FROM files WHERE folded >= ? AND folded < ?",
                wanted.begins,
                after_prefix(wanted.begins),
            )
        case Way.UNDER:
            ranges = wanted.ranges()
            each = "SELECT file FROM files WHERE folded >= ? AND folded < ?"
            bounds = [bound for prefix in ranges for bound in (prefix, after_prefix(prefix))]
            return _in(" UNION ".join([each] * len(ranges)), *bounds)
        case Way.SIZES:
            return _range("files_size", "f.size BETWEEN ? AND ?", *wanted.sizes())
        case Way.TYPE:
            kind = wanted.media_type or ""
            if kind.endswith("/*"):
                return _ordered(
                    "media_type >= ? AND media_type < ?", ordered, kind[:-1], after_prefix(kind[:-1])
                )
            return _ordered("media_type IN (?, ?)", ordered, *forms(kind))
        case Way.COPIES:
            return _range("files_holders", "f.holders >= ?", wanted.min_holders)
        case Way.STARTS:
            if tier is None:
                return None
            match = _match(db, [f"/{tier[1]}"])
            if match is None:
                return None
            return _in(
                "SELECT file FROM files WHERE folded >= ? AND folded < ? "
                "UNION SELECT rowid FROM names WHERE names MATCH ? "
                "UNION SELECT file FROM files WHERE file > ?",
                tier[1],
                after_prefix(tier[1]),
                match,
                named,
            )
        case Way.NAMES:
            match = _match(db, wanted.literals())
            if match is None:
                return None
            return _in(
                "SELECT rowid AS file FROM names WHERE names MATCH ? "
                "UNION ALL SELECT file FROM files WHERE file > ?",
                match,
                named,
            )


def _in(select: str, *values: Any) -> RowSource:
    return RowSource(f"({select}) c CROSS JOIN files f ON f.file = c.file", list(values))


def _range(index: str, condition: str, *values: Any) -> RowSource:
    """Rows by a sorted index that has the names as well, so that most rows need not be looked up."""
    return RowSource(
        f"files f INDEXED BY {index}", [], f"f.ordered = 1 AND {condition}", list(values), behind=True
    )


def _ordered(condition: str, ordered: int, *values: Any) -> RowSource:
    """Rows by a sorted index, and those that it lacks."""
    return _in(
        f"SELECT file FROM files WHERE ordered = 1 AND {condition} "
        "UNION ALL SELECT file FROM files WHERE file > ?",
        *values,
        ordered,
    )


def _match(db: sqlite3.Connection, literals: Sequence[str]) -> str | None:
    """A full-text expression that finds at least the names with all of these; None where it is no help."""
    grams = sorted({gram for literal in literals for gram in trigrams(literal)})
    if grams:
        return " AND ".join(_quoted(gram) for gram in grams)
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
    return " OR ".join(_quoted(term) for (term,) in terms) or NOWHERE


def _quoted(term: str) -> str:
    return '"' + term.replace('"', '""') + '"'
