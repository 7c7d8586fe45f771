"""The node's state on disk: one SQLite database (WAL) that every part keeps its own tables in."""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from minga_node.errors import StorageFailed, StorageFull

log = logging.getLogger(__name__)

META = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE schema_version (part TEXT PRIMARY KEY, version INTEGER NOT NULL) WITHOUT ROWID;
"""


class Store:
    """Reads run on a connection of each thread; writes are transactions, one at a time.

    A database that is damaged is moved aside and a new one begun: that is a new :attr:`epoch`, so everybody
    forgets what the old one said.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._local = threading.local()
        self._connections: list[sqlite3.Connection] = []
        self._list_lock = threading.Lock()
        self._write_lock = threading.RLock()
        self._at_end: list[Callable[[bool], None]] = []
        path.parent.mkdir(parents=True, exist_ok=True)
        self.moved_aside: Path | None = None
        try:
            self._open()
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError) and not _is_damage(error):
                raise StorageFailed(f"cannot open {path}: {error}") from error
            self._move_aside(error)
            self._open()

    def _open(self) -> None:
        # The node's secret key is in it; SQLite gives its other files the same mode.
        try:
            self._path.touch(0o600)
            self._path.chmod(0o600)
        except OSError as error:
            raise StorageFailed(f"cannot open {self._path}: {error}") from error
        self._writer = self._connect()
        problem = self._writer.execute("PRAGMA quick_check(1)").fetchone()[0]
        if problem != "ok":
            raise sqlite3.DatabaseError(problem)
        if not self._writer.execute("SELECT 1 FROM sqlite_master WHERE name = 'meta'").fetchone():
            self._writer.executescript(META)
        self._writer.execute("INSERT OR IGNORE INTO meta VALUES ('epoch', ?)", (str(time.time_ns() // 1000),))
        self.epoch = int(self._writer.execute("SELECT value FROM meta WHERE key = 'epoch'").fetchone()[0])

    def _move_aside(self, error: sqlite3.DatabaseError) -> None:
        self.close()
        self.moved_aside = self._path.with_name(f"{self._path.name}.damaged-{int(time.time())}")
        for suffix in ("-wal", "-shm"):
            self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)
        self._path.rename(self.moved_aside)
        log.error(
            "the state in %s is damaged (%s): moved to %s, starting anew", self._path, error, self.moved_aside
        )

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, timeout=30, isolation_level=None, check_same_thread=False)
        with self._list_lock:
            self._connections.append(connection)
        connection.execute("PRAGMA journal_mode = WAL")
        # With WAL, NORMAL loses nothing when the process dies; a power cut may lose the last transactions,
        # never consistency.
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA foreign_keys = ON")
        return connection

    def migrate(self, part: str, steps: Sequence[str]) -> None:
        """Brings the tables of one part up to date; ``steps[n]`` is the script from version n to n + 1."""
        with self.write() as db:
            row = db.execute("SELECT version FROM schema_version WHERE part = ?", (part,)).fetchone()
            version = int(row[0]) if row else 0
            for step in steps[version:]:
                for statement in _statements(step):
                    db.execute(statement)
            db.execute("INSERT OR REPLACE INTO schema_version VALUES (?, ?)", (part, len(steps)))

    def prepare(self, script: str) -> None:
        """Runs settings and temporary tables on the connection that writes, the only one to have them."""
        with self._write_lock:
            self._writer.executescript(script)

    def read(self) -> sqlite3.Connection:
        """This thread's own connection; not to be written with."""
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = self._connect()
        return connection

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """A transaction: all of it or nothing. May be nested in one thread; the outermost one commits.

        Raises:
            StorageFull: no room on the disk.
            StorageFailed: anything else SQLite cannot do.
        """
        with self._write_lock:
            if self._writer.in_transaction:
                yield self._writer
                return
            committed = False
            try:
                self._writer.execute("BEGIN IMMEDIATE")
                yield self._writer
                self._writer.execute("COMMIT")
                committed = True
            except sqlite3.Error as error:
                self._rollback()
                if isinstance(error, sqlite3.OperationalError) and "full" in str(error):
                    raise StorageFull("no room on the disk for the node's state") from error
                raise StorageFailed(f"state database: {error}") from error
            except BaseException:
                self._rollback()
                raise
            finally:
                callbacks, self._at_end = self._at_end, []
                for callback in callbacks:
                    callback(committed)

    def at_end(self, callback: Callable[[bool], None]) -> None:
        """Has ``callback(committed)`` called when the running transaction ends, before the next one begins.

        For what is kept in memory beside the tables: it must change when they do, and only if they do.
        """
        self._at_end.append(callback)

    def _rollback(self) -> None:
        if self._writer.in_transaction:
            self._writer.execute("ROLLBACK")

    def close(self) -> None:
        with self._list_lock:
            for connection in self._connections:
                connection.close()
            self._connections.clear()


def _is_damage(error: sqlite3.OperationalError) -> bool:
    return "malformed" in str(error) or "not a database" in str(error)


def _statements(script: str) -> Iterator[str]:
    """Single statements of a script: ``executescript`` would commit the transaction around it."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
    if statement.strip():
        yield statement
