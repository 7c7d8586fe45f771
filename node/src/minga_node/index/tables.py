"""Changes of the index's tables: entries go in by sets, so that SQLite and not Python has the work."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence

from minga_node.index.fold import fold
from minga_node.index.log import Entry
from minga_node.index.schema import PAD, STAGED, TOUCHED

# What the newest entries of the log replace: all its older files of the same names.
_SUPERSEDED = """
SELECT h.file FROM staged s
CROSS JOIN files f ON f.folded = s.folded AND f.name = s.name
CROSS JOIN held h ON h.log = :log AND h.file = f.file
"""


def apply(db: sqlite3.Connection, log: int, entries: Sequence[Entry], *, fresh: bool) -> None:
    """Puts entries into a log, each the newest word on its name. In a transaction of the caller.

    ``fresh`` says that the log has had no entry yet, which saves looking for older ones.
    """
    db.execute(STAGED)
    db.execute(TOUCHED)
    db.execute("DELETE FROM staged")
    db.execute("DELETE FROM touched")
    newest = entries if _distinct(entries) else tuple({entry.name: entry for entry in entries}.values())
    db.executemany(
        "INSERT INTO staged VALUES (?, ?, ?, ?, ?, ?, ?, ?)", [(*entry, fold(entry.name)) for entry in newest]
    )
    (last,) = db.execute("SELECT ifnull(max(file), 0) FROM files").fetchone()
    if not fresh:
        db.execute(f"INSERT INTO touched {_SUPERSEDED}", {"log": log})
        db.execute("DELETE FROM held WHERE log = ? AND file IN (SELECT file FROM touched)", (log,))
        db.execute(
            "DELETE FROM tombstones WHERE log = ? AND name IN (SELECT name FROM staged)",
            (log,),
        )
    inserted = db.execute(
        "INSERT OR IGNORE INTO files (folded, name, content, size, media_type, modified, holders) "
        "SELECT folded, name, content, size, media_type, modified, complete FROM staged "
        "WHERE content IS NOT NULL ORDER BY folded"
    ).rowcount
    db.execute(
        "INSERT INTO held SELECT ?, f.file, s.version, s.modified, s.complete FROM staged s "
        "CROSS JOIN files f ON f.folded = s.folded AND f.name = s.name AND f.content = s.content "
        "ORDER BY f.file",
        (log,),
    )
    db.execute(
        "INSERT INTO tombstones SELECT ?, name, version FROM staged WHERE content IS NULL ORDER BY name",
        (log,),
    )
    if inserted < sum(entry.content is not None for entry in newest):
        db.execute(
            "INSERT OR IGNORE INTO touched SELECT f.file FROM staged s CROSS JOIN files f "
            "ON f.folded = s.folded AND f.name = s.name AND f.content = s.content WHERE f.file <= ?",
            (last,),
        )
    recount(db)


def forget(db: sqlite3.Connection, log: int) -> None:
    """Takes everything of a log out."""
    db.execute(TOUCHED)
    db.execute("DELETE FROM touched")
    db.execute("INSERT INTO touched SELECT file FROM held WHERE log = ?", (log,))
    db.execute("DELETE FROM held WHERE log = ?", (log,))
    db.execute("DELETE FROM tombstones WHERE log = ?", (log,))
    recount(db)


def recount(db: sqlite3.Connection) -> None:
    """Brings the touched files' own columns up to date; those that nobody has any more go."""
    db.execute(
        "UPDATE files SET (holders, modified) = "
        "(SELECT ifnull(sum(complete), 0), ifnull(min(held.modified), 0) FROM held "
        "WHERE held.file = files.file) "
        "WHERE file IN (SELECT file FROM touched)"
    )
    gone = "SELECT file FROM touched WHERE NOT EXISTS (SELECT 1 FROM held WHERE held.file = touched.file)"
    # A contentless full-text table forgets a row when it is told again what was in it.
    db.execute(
        "INSERT INTO names (names, rowid, folded) SELECT 'delete', file, folded || ? FROM files "
        f"WHERE file IN ({gone}) AND file <= (SELECT file FROM names_until)",
        (PAD,),
    )
    db.execute(f"DELETE FROM files WHERE file IN ({gone})")


def extend_names(db: sqlite3.Connection, rows: int) -> bool:
    """Takes the next files into the full-text index; whether there are more."""
    (until,) = db.execute("SELECT file FROM names_until").fetchone()
    found = db.execute(
        "SELECT file, folded || ? FROM files WHERE file > ? ORDER BY file LIMIT ?", (PAD, until, rows)
    ).fetchall()
    if not found:
        return False
    db.executemany("INSERT INTO names (rowid, folded) VALUES (?, ?)", found)
    db.execute("UPDATE names_until SET file = ?", (found[-1][0],))
    return len(found) == rows


def _distinct(entries: Iterable[Entry]) -> bool:
    names = [entry.name for entry in entries]
    return len(set(names)) == len(names)
