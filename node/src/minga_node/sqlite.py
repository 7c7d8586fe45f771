"""Connections to SQLite: who owns them, and what its errors are called outside."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from minga_node.errors import MingaError, StorageFailed, StorageFull

MOST_CONNECTIONS = 8
"""Connections for reading: two descriptors and a cache each."""
PATIENCE_SECONDS = 1.0
"""Seconds to wait for one of them, before one more is opened for this once."""
BUSY_SECONDS = 30.0
"""How long a statement waits for another process that holds the database."""


def connect(path: Path) -> sqlite3.Connection:
    """Opens a database. Raises sqlite3.Error."""
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        # With WAL, NORMAL loses nothing when the process dies; a power cut may lose the last transactions,
        # never consistency.
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA foreign_keys = ON")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def ours(error: sqlite3.Error) -> StorageFailed | StorageFull:
    """What the rest of the node knows an error as."""
    code = getattr(error, "sqlite_errorcode", None)
    primary = code & 0xFF if isinstance(code, int) else None  # https://www.sqlite.org/rescode.html
    if primary == sqlite3.SQLITE_FULL or (primary is None and "full" in str(error)):
        return StorageFull("no room on the disk for the node's state")
    return StorageFailed(f"state database: {error}")


def is_of_the_disk(error: sqlite3.Error) -> bool:
    """Whether the database is at fault, not what was asked of it."""
    return isinstance(error, sqlite3.OperationalError) or type(error) is sqlite3.DatabaseError


def is_damage(error: sqlite3.OperationalError) -> bool:
    return "malformed" in str(error) or "not a database" in str(error)


def statements(script: str) -> Iterator[str]:
    """Single statements of a script: ``executescript`` would commit the transaction around it."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
    if statement.strip():
        yield statement


class Readers:
    """Connections for reading, lent to one thread at a time.

    A connection of each thread would stay open after its thread, and threads come and go. Opening as many as
    are wanted at once is no way either: SQLite keeps a descriptor of each until the last is closed, lest it
    lose its locks (https://www.sqlite.org/howtocorrupt.html, 2.2). And a hard limit could lock up: who reads
    may wait for the writer, and the writer may want to read. So there are few, and one more when it is long
    that none of them came back.

    Args:
        failed: what an error is called outside.
    """

    def __init__(self, path: Path, failed: Callable[[sqlite3.Error], MingaError]) -> None:
        self._path, self.failed = path, failed
        self._change = threading.Condition(threading.Lock())
        self._open = 0
        self._free: list[sqlite3.Connection] = []
        self._closed = False
        self.local = threading.local()
        """Its ``lent``: what this thread has at the moment."""

    def take(self) -> sqlite3.Connection:
        with self._change:
            self._change.wait_for(
                lambda: self._closed or self._free or self._open < MOST_CONNECTIONS, PATIENCE_SECONDS
            )
            if self._closed:
                raise sqlite3.ProgrammingError("it is closed")
            if self._free:
                return self._free.pop()
            self._open += 1
        try:
            connection = connect(self._path)
            connection.execute("PRAGMA query_only = ON")
        except sqlite3.Error:
            with self._change:
                self._open -= 1
                self._change.notify()
            raise
        return connection

    def give_back(self, connection: sqlite3.Connection, good: bool) -> None:
        with self._change:
            self._change.notify()
            if good and not self._closed and self._open <= MOST_CONNECTIONS:
                self._free.append(connection)
                return
            self._open -= 1
        with suppress(sqlite3.Error):
            connection.close()

    def close(self) -> None:
        """Nobody gets one any more; those that are lent are closed when they come back."""
        with self._change:
            self._closed = True
            free, self._free = self._free, []
            self._change.notify_all()
        for connection in free:
            connection.close()


class Look:
    """The time for which a connection is lent; nested in one thread it is the same one, with its snapshot.

    A class, not a generator: there are thousands of looks a second. One that an error arose on is not used
    again.
    """

    __slots__ = ("_connection", "_readers")

    def __init__(self, readers: Readers) -> None:
        self._readers = readers
        self._connection: sqlite3.Connection | None = None

    def __enter__(self) -> sqlite3.Connection:
        """Raises what ``failed`` makes of an error."""
        local = self._readers.local
        lent: sqlite3.Connection | None = getattr(local, "lent", None)
        if lent is not None:
            return lent
        try:
            self._connection = local.lent = self._readers.take()
        except sqlite3.Error as error:
            raise self._readers.failed(error) from error
        return local.lent  # type: ignore[no-any-return]

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        failed = isinstance(error, sqlite3.Error)
        if self._connection is not None:
            self._readers.local.lent = None
            self._readers.give_back(self._connection, not failed and not self._connection.in_transaction)
        if isinstance(error, sqlite3.Error):
            raise self._readers.failed(error) from error
