"""A random sample of the index in memory: it says how many rows a query will find, before it is run."""

from __future__ import annotations

import random
import sqlite3
import threading
from collections.abc import Callable
from typing import Any

from minga_node.index.search.conditions import Row

SAMPLE_ROWS = 1024


class Sample:
    """Taken anew when the index has grown or shrunk by an eighth."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._random = random.Random(0)
        self._span = -1
        self.rows: tuple[Row, ...] = ()
        self.total = 0
        self._ordered: dict[tuple[str, bool], tuple[Row, ...]] = {}

    def refresh(self, db: sqlite3.Connection) -> tuple[tuple[Row, ...], int]:
        """The sample, and about how many rows the index has."""
        first, last = db.execute(
            "SELECT (SELECT min(file) FROM files), (SELECT max(file) FROM files)"
        ).fetchone()
        span = 0 if last is None else last - first + 1
        with self._lock:
            small = span <= SAMPLE_ROWS * 4
            if small or abs(span - self._span) * 8 > self._span:
                self._take(db, first or 0, span)
                self._span = span
            return self.rows, self.total

    def ordered(self, name: str, key: Callable[[Row], Any], *, descending: bool) -> tuple[Row, ...]:
        """The sample in an order, which is kept under a name."""
        with self._lock:
            found = self._ordered.get((name, descending))
            if found is None:
                found = tuple(sorted(self.rows, key=key, reverse=descending))
                self._ordered[name, descending] = found
            return found

    def _take(self, db: sqlite3.Connection, first: int, span: int) -> None:
        self._ordered = {}
        if span <= SAMPLE_ROWS * 4:
            # Small enough that any plan will do.
            self.rows, self.total = (), span
            return
        numbers = sorted(self._random.sample(range(first, first + span), SAMPLE_ROWS))
        marks = ",".join(map(str, numbers))
        held: dict[int, set[int]] = {}
        for file, log in db.execute(f"SELECT file, log FROM held WHERE file IN ({marks})"):
            held.setdefault(file, set()).add(log)
        self.rows = tuple(
            Row(folded, name, content, size, media, modified, holders, frozenset(held.get(file, ())), file)
            for file, folded, name, content, size, media, modified, holders in db.execute(
                "SELECT file, folded, name, content, size, media_type, modified, holders FROM files "
                f"WHERE file IN ({marks})"
            )
        )
        # Numbers that are no longer used make the span larger than the index.
        self.total = span * len(self.rows) // SAMPLE_ROWS
