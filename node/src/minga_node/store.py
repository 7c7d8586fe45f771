"""The node's state on disk: one SQLite database (WAL) that every part keeps its own tables in."""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from minga_node.errors import MingaError, StorageFailed
from minga_node.sqlite import Look, Readers, connect, is_damage, is_of_the_disk, ours, statements

log = logging.getLogger(__name__)

META = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE schema_version (part TEXT PRIMARY KEY, version INTEGER NOT NULL) WITHOUT ROWID;
"""

CLOSE_SECONDS = 2.0


class Store:
    """Reads run on connections that are lent for one look; writes are transactions, one at a time.

    No error of SQLite leaves it: they all become :class:`StorageFull` or :class:`StorageFailed` here.

    A database that is damaged is moved aside and a new one begun: that is a new :attr:`epoch`, so everybody
    forgets what the old one said.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._readers = Readers(path, self._failed)
        self._write_lock = threading.RLock()
        self._owner = 0
        """The thread whose transaction runs; 0 for none."""
        self._at_end: list[Callable[[bool], None]] = []
        self._after: list[Callable[[], None]] = []
        self.commits = 0
        """Transactions so far: what was read before the last one may not be so any more."""
        self._scripts: list[str] = []
        self._broken = False
        self.on_problem: Callable[[], None] = lambda: None
        """Called when the disk failed somebody, in that one's thread: it must not block."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self.moved_aside: Path | None = None
        try:
            self._open()
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError) and not is_damage(error):
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
        self._writer = connect(self._path)
        problem = self._writer.execute("PRAGMA quick_check(1)").fetchone()[0]
        if problem != "ok":
            raise sqlite3.DatabaseError(problem)
        if not self._writer.execute("SELECT 1 FROM sqlite_master WHERE name = 'meta'").fetchone():
            self._writer.executescript(META)
        self._writer.execute("INSERT OR IGNORE INTO meta VALUES ('epoch', ?)", (str(time.time_ns() // 1000),))
        self.epoch = int(self._writer.execute("SELECT value FROM meta WHERE key = 'epoch'").fetchone()[0])

    def _move_aside(self, error: sqlite3.DatabaseError) -> None:
        writer: sqlite3.Connection | None = getattr(self, "_writer", None)
        if writer is not None:
            writer.close()
        self.moved_aside = self._path.with_name(f"{self._path.name}.damaged-{int(time.time())}")
        for suffix in ("-wal", "-shm"):
            self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)
        self._path.rename(self.moved_aside)
        log.error(
            "the state in %s is damaged (%s): moved to %s, starting anew", self._path, error, self.moved_aside
        )

    def migrate(self, part: str, steps: Sequence[str]) -> None:
        """Brings the tables of one part up to date; ``steps[n]`` is the script from version n to n + 1."""
        with self.write() as db:
            row = db.execute("SELECT version FROM schema_version WHERE part = ?", (part,)).fetchone()
            version = int(row[0]) if row else 0
            for step in steps[version:]:
                for statement in statements(step):
                    db.execute(statement)
            db.execute("INSERT OR REPLACE INTO schema_version VALUES (?, ?)", (part, len(steps)))

    def prepare(self, script: str) -> None:
        """Runs settings and temporary tables on the connection that writes, the only one to have them."""
        with self._write_lock, self._as_ours():
            self._writer.executescript(script)
            self._scripts.append(script)

    def read(self) -> Look:
        """A connection for the time of one look; not to be written with, and no cursor of it outlives that.

        Raises:
            StorageFailed: SQLite cannot read, or the store is closed.
        """
        return Look(self._readers)

    def rows(self, statement: str, values: Sequence[Any] | dict[str, Any] = ()) -> list[Any]:
        """All rows of one statement. Raises StorageFailed."""
        with self.read() as db:
            return db.execute(statement, values).fetchall()

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """A transaction: all of it or nothing. May be nested in one thread; the outermost one commits.

        Raises:
            StorageFull: no room on the disk.
            StorageFailed: anything else SQLite cannot do.
        """
        if self._mine:
            with self._as_ours():
                if not self._writer.in_transaction:
                    # SQLite gives it up by itself on some errors; what follows would be committed at once.
                    raise StorageFailed("state database: the transaction was given up")
                yield self._writer
            return
        committed, effects = False, []
        try:
            with self._write_lock:
                self._owner = threading.get_ident()
                try:
                    with self._as_ours():
                        self._begin()
                        yield self._writer
                        self._writer.execute("COMMIT")
                    committed = True
                    self.commits += 1
                finally:
                    if not committed:
                        self._rollback()
                    self._owner = 0
                    callbacks, self._at_end = self._at_end, []
                    effects, self._after = self._after, []
                    for callback in callbacks:
                        _call(callback, committed)
        finally:
            if committed:
                for effect in effects:
                    _call(effect)

    @property
    def _mine(self) -> bool:
        """Whether this thread's transaction runs."""
        return self._owner == threading.get_ident()

    def at_end(self, callback: Callable[[bool], None]) -> None:
        """Has ``callback(committed)`` called when the running transaction ends, before the next one begins.

        For what is kept in memory beside the tables: it must change when they do, and only if they do.
        """
        assert self._mine, "there is no transaction"
        self._at_end.append(callback)

    def after_commit(self, effect: Callable[[], None]) -> None:
        """Has ``effect`` called once the running transaction is committed and its lock is free; at once where
        none runs in this thread, never if it fails. For whatever others are told."""
        if self._mine:
            self._after.append(effect)
        else:
            _call(effect)

    def probe(self) -> None:
        """Finds out whether the state can be written just now.

        Raises:
            StorageFull, StorageFailed: it cannot; says why.
        """
        try:
            room = os.statvfs(self._path.parent)
        except OSError as error:
            raise StorageFailed(f"the state directory {self._path.parent}: {error.strerror}") from error
        if room.f_flag & os.ST_RDONLY:
            raise StorageFailed(f"the state directory {self._path.parent} is mounted read-only")
        with self.write() as db:
            # The same row each time: a page that is in the log already costs no room.
            db.execute("INSERT OR REPLACE INTO meta VALUES ('probe', ?)", (str(int(time.time())),))

    def _begin(self) -> None:
        if self._broken:
            with suppress(sqlite3.Error):
                self._writer.close()
            self._writer = connect(self._path)
            for script in self._scripts:
                self._writer.executescript(script)
            self._broken = False
        self._writer.execute("BEGIN IMMEDIATE")

    def _rollback(self) -> None:
        try:
            if self._writer.in_transaction:
                self._writer.execute("ROLLBACK")
        except sqlite3.Error:
            # A connection that cannot even do that is replaced; what it began goes with it.
            self._broken = True

    @contextmanager
    def _as_ours(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise self._failed(error) from error

    def _failed(self, error: sqlite3.Error) -> MingaError:
        if is_of_the_disk(error):
            self.on_problem()
        return ours(error)

    def close(self) -> None:
        """Waits a moment for a transaction that runs; afterwards everybody is refused."""
        self._readers.close()
        free = self._write_lock.acquire(timeout=CLOSE_SECONDS)
        try:
            self._writer.close()
        finally:
            if free:
                self._write_lock.release()


def _call(callback: Callable[..., None], *values: object) -> None:
    """What one does wrong must not keep the others from being told, nor undo what is committed."""
    try:
        callback(*values)
    except Exception:
        log.exception("what follows a transaction failed")
