"""A database that fails on purpose: what SQLite raises when its disk does not do what it should."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

FAULTS = {
    "the disk is full": (sqlite3.SQLITE_FULL, "database or disk is full"),
    "the disk is broken": (sqlite3.SQLITE_IOERR, "disk I/O error"),
    "it is read-only": (sqlite3.SQLITE_READONLY, "attempt to write a readonly database"),
    "another process holds it": (sqlite3.SQLITE_BUSY, "database is locked"),
}


class Disk:
    """Whether, and how, every connection of this process fails."""

    def __init__(self) -> None:
        self.fault: str | None = None
        self.met = 0

    def look(self) -> None:
        if self.fault is None:
            return
        self.met += 1
        code, text = FAULTS[self.fault]
        error = sqlite3.OperationalError(text)
        error.sqlite_errorcode = code
        raise error

    @contextmanager
    def failing(self, fault: str) -> Iterator[None]:
        self.fault = fault
        try:
            yield
        finally:
            self.fault = None


def make_disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    """Has every connection that is made from now on look at the disk before each statement."""
    disk = Disk()

    class Connection(sqlite3.Connection):
        def execute(self, *arguments: Any) -> sqlite3.Cursor:
            if not arguments[0].startswith("ROLLBACK"):
                disk.look()
            return super().execute(*arguments)

        def executemany(self, *arguments: Any) -> sqlite3.Cursor:
            disk.look()
            return super().executemany(*arguments)

    connect = sqlite3.connect
    monkeypatch.setattr(
        "minga_node.sqlite.sqlite3.connect", lambda *some, **more: connect(*some, factory=Connection, **more)
    )
    return disk
