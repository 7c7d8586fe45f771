"""Changes of the index's tables: entries go in by sets, so that SQLite and not Python has the work."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from operator import itemgetter
from typing import NamedTuple

from minga_node.index.fold import fold
from minga_node.index.log import Entry
from minga_node.index.schema import ENTRY, PAD
from minga_node.index.signing import set_hash

MOVES = 500_000
"""Changes of what files are sorted by that are kept for searches in the middle of their pages; some 10 MB."""

# What the newest entries replace: all older files of the same names in the same logs.
_REPLACED = """
INSERT INTO replaced SELECT h.log, h.version, h.file FROM staged s
CROSS JOIN files f ON f.folded = s.folded AND f.name = s.name
CROSS JOIN held h INDEXED BY held_file ON h.file = f.file AND h.log = s.log
WHERE s.log NOT IN ({fresh})
"""
_GONE = f"""
SELECT r.log, {ENTRY}
FROM replaced r CROSS JOIN held h ON h.log = r.log AND h.version = r.version
CROSS JOIN files f ON f.file = r.file
"""
# A file that somebody else told first has the size and type that it was told with.
_DIFFERENT = """
UPDATE held SET size = s.size, media_type = s.media_type FROM staged s CROSS JOIN files f ON f.file = s.file
WHERE (s.file <= ? OR s.leader IS NOT NULL) AND (f.size <> s.size OR f.media_type <> s.media_type)
    AND held.log = s.log AND held.version = s.version
"""
_KNOWN = """
SELECT f.file FROM files f
WHERE f.folded = staged.folded AND f.name = staged.name AND f.content = staged.content
"""

_FOLDED = itemgetter(0)
_LOG_AND_NAME = itemgetter(3, 1)
_NAME_AND_CONTENT = itemgetter(1, 2)
_NEW = "?1 + ifnull(leader, stage)"


class Batch(NamedTuple):
    """Entries of one log, each of them newer than all that is in the tables of it."""

    log: int
    fresh: bool
    """The log has had no entry yet, which saves looking for older ones."""
    entries: Sequence[Entry]


def apply(db: sqlite3.Connection, batches: Sequence[Batch]) -> dict[int, int]:
    """Puts entries into logs, each the newest word on its name. In a transaction of the caller.

    Returns by how much the hash of each log's set of live entries changes.
    """
    # The largest number that ever was: none is used twice.
    (last,) = db.execute("SELECT ifnull(max(seq), 0) FROM sqlite_sequence WHERE name = 'files'").fetchone()
    followers, removals, changes = _stage(db, batches)
    # A file that is there already has its number, a new one gets the next that are free.
    db.execute(
        "UPDATE staged SET file = "
        + (f"ifnull(({_KNOWN}), {_NEW})" if last else _NEW)
        + " WHERE content IS NOT NULL",
        (last,),
    )
    db.execute("DELETE FROM touched")
    used = {batch.log for batch in batches if not batch.fresh}
    if used:
        fresh = ",".join(str(batch.log) for batch in batches if batch.fresh and batch.log not in used)
        db.execute("DELETE FROM replaced")
        if db.execute(_REPLACED.format(fresh=fresh)).rowcount:
            for log, *entry in db.execute(_GONE):
                changes[log] -= set_hash([entry])
            db.execute("DELETE FROM held WHERE (log, version) IN (SELECT log, version FROM replaced)")
            db.execute("INSERT OR IGNORE INTO touched SELECT file FROM replaced")
        db.execute("DELETE FROM tombstones WHERE (log, name) IN (SELECT log, name FROM staged)")
    db.execute(
        "INSERT INTO files (file, folded, name, content, size, media_type, modified, holders) "
        "SELECT file, folded, name, content, size, media_type, modified, complete FROM staged "
        "WHERE file > ? AND leader IS NULL",
        (last,),
    )
    db.execute(
        "INSERT INTO held (log, version, file, modified, complete) "
        "SELECT log, version, file, modified, complete FROM staged WHERE content IS NOT NULL"
    )
    if removals:
        db.execute("INSERT INTO tombstones SELECT log, name, version FROM staged WHERE content IS NULL")
    if last or followers:
        db.execute(
            "INSERT OR IGNORE INTO touched SELECT file FROM staged WHERE file <= ? OR leader IS NOT NULL",
            (last,),
        )
        db.execute(_DIFFERENT, (last,))
    recount(db)
    return changes


def _stage(db: sqlite3.Connection, batches: Sequence[Batch]) -> tuple[bool, bool, dict[int, int]]:
    """Lays entries out by name, those of one name and content with the first of them as their leader.

    Returns whether there are any that have another leader than themselves, whether there are tombstones, and
    the hash of each log's entries.
    """
    changes = {batch.log: set_hash(batch.entries) for batch in batches}
    rows = [
        (fold(name), name, content, batch.log, version, size, media_type, modified, complete)
        for batch in batches
        for version, name, content, size, media_type, modified, complete in batch.entries
    ]
    if len(set(map(_LOG_AND_NAME, rows))) < len(rows):
        # Of one name in one log the last word counts.
        newest = {_LOG_AND_NAME(row): row for row in rows}
        for row in rows:
            if newest[_LOG_AND_NAME(row)] is not row:
                _, name, content, log, version, size, media_type, modified, complete = row
                entry = (version, name, content, size, media_type, modified, complete)
                changes[log] -= set_hash([entry])
        rows = list(newest.values())
    # By name, so that what is near in the index of names is written together.
    rows.sort(key=_FOLDED)
    db.execute("DELETE FROM staged")
    db.executemany(
        "INSERT INTO staged (folded, name, content, log, version, size, media_type, modified, complete) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        rows,
    )
    followers = False
    if len(set(map(_NAME_AND_CONTENT, rows))) < len(rows):
        leaders: dict[object, int] = {}
        found = (
            (leaders.setdefault(_NAME_AND_CONTENT(row), stage), stage) for stage, row in enumerate(rows, 1)
        )
        others = [(leader, stage) for leader, stage in found if leader < stage]
        db.executemany("UPDATE staged SET leader = ? WHERE stage = ?", others)
        followers = True
    return followers, any(row[2] is None for row in rows), changes


def total(db: sqlite3.Connection, log: int) -> int:
    """The hash of a log's set of live entries, computed anew."""
    return set_hash(
        db.execute(
            f"SELECT {ENTRY} FROM held h CROSS JOIN files f ON f.file = h.file WHERE h.log = ?",
            (log,),
        )
    )


def forget(db: sqlite3.Connection, log: int) -> None:
    """Takes everything of a log out."""
    db.execute("DELETE FROM touched")
    db.execute("INSERT OR IGNORE INTO touched SELECT file FROM held WHERE log = ?", (log,))
    db.execute("DELETE FROM held WHERE log = ?", (log,))
    db.execute("DELETE FROM tombstones WHERE log = ?", (log,))
    recount(db)


def recount(db: sqlite3.Connection) -> None:
    """Brings the touched files' own columns up to date; those that nobody has any more go."""
    if not db.execute("SELECT EXISTS (SELECT 1 FROM touched)").fetchone()[0]:
        return
    gone = "SELECT file FROM touched WHERE NOT EXISTS (SELECT 1 FROM held WHERE held.file = touched.file)"
    # A contentless full-text table forgets a row when it is told again what was in it.
    db.execute(
        "INSERT INTO names (names, rowid, folded) SELECT 'delete', file, folded || ? FROM files "
        f"WHERE file IN ({gone}) AND file <= (SELECT file FROM names_until)",
        (PAD,),
    )
    if db.execute(f"DELETE FROM files WHERE file IN ({gone})").rowcount:
        db.execute(f"DELETE FROM moved WHERE file IN ({gone})")
    db.execute(
        "UPDATE files SET (holders, modified) = "
        "(SELECT ifnull(sum(complete), 0), ifnull(min(held.modified), 0) FROM held "
        "WHERE held.file = files.file) "
        "WHERE file IN (SELECT file FROM touched)"
    )
    db.execute("DELETE FROM moved WHERE seq <= ?", (moves(db) - MOVES,))


def moves(db: sqlite3.Connection) -> int:
    """Changes of what files are sorted by, so far; of the last :data:`MOVES` it is known what it was."""
    (count,) = db.execute("SELECT ifnull(max(seq), 0) FROM sqlite_sequence WHERE name = 'moved'").fetchone()
    return int(count)


def extend_names(db: sqlite3.Connection, rows: int) -> bool:
    """Takes the next files into the full-text index; whether there are more."""
    (until,) = db.execute("SELECT file FROM names_until").fetchone()
    last = _after(db, until, rows)
    if last is None:
        return False
    db.execute(
        "INSERT INTO names (rowid, folded) SELECT file, folded || ? FROM files WHERE file > ? AND file <= ? "
        "ORDER BY file",
        (PAD, until, last),
    )
    db.execute("UPDATE names_until SET file = ?", (last,))
    return _after(db, last, 1) is not None


def extend_orders(db: sqlite3.Connection, rows: int) -> bool:
    """Takes the next files into the indices that searches sort and filter by; whether there are more."""
    (until,) = db.execute("SELECT ordered FROM names_until").fetchone()
    last = _after(db, until, rows)
    if last is None:
        return False
    db.execute("UPDATE files SET ordered = 1 WHERE file > ? AND file <= ?", (until, last))
    db.execute("UPDATE names_until SET ordered = ?", (last,))
    return _after(db, last, 1) is not None


def _after(db: sqlite3.Connection, until: int, rows: int) -> int | None:
    """The last of the next files; None where there are none."""
    found: int | None = db.execute(
        "SELECT max(file) FROM (SELECT file FROM files WHERE file > ? ORDER BY file LIMIT ?)", (until, rows)
    ).fetchone()[0]
    return found
