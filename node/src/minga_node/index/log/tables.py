"""Changes of the index's tables: entries go in by sets, so that SQLite and not Python has the work."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from itertools import chain, compress, count, islice
from operator import eq
from typing import NamedTuple

from minga_node.index.log.entries import Entries
from minga_node.index.log.signing import set_hash
from minga_node.index.log.table_schema import ENTRY, PAD

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

_NEW = "?1 + ifnull(leader, stage)"


class EntryBatch(NamedTuple):
    """Entries of one log, each of them newer than all that is in the tables of it."""

    log: int
    fresh: bool
    """The log has had no entry yet, which saves looking for older ones."""
    parts: Sequence[Entries]
    """Entries in the order of their versions, no part empty."""


def apply(db: sqlite3.Connection, batches: Sequence[EntryBatch]) -> dict[int, int]:
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


def _stage(db: sqlite3.Connection, batches: Sequence[EntryBatch]) -> tuple[bool, bool, dict[int, int]]:
    """Lays entries out by name, those of one name and content with the first of them as their leader.

    Returns whether there are any that have another leader than themselves, whether there are tombstones, and
    the hash of each log's entries.
    """
    changes: dict[int, int] = {}
    parts: list[Entries] = []
    logs: list[int] = []
    for batch in batches:
        newest = _newest(batch.parts)
        changes[batch.log] = sum(part.total for part in newest)
        parts += newest
        logs += [batch.log] * sum(map(len, newest))
    # Columns and places in them: a row that is an object of its own is what Python is slow with.
    folded = list(chain.from_iterable(part.folded for part in parts))
    versions, names, contents, *others = (
        list(chain.from_iterable(columns)) for columns in zip(*(part.columns for part in parts), strict=True)
    )
    # By name, so that what is near in the index of names is written together.
    places = sorted(range(len(folded)), key=folded.__getitem__)
    columns = [folded, names, contents, logs, versions, *others]
    db.execute("DELETE FROM staged")
    db.executemany(
        "INSERT INTO staged (folded, name, content, log, version, size, media_type, modified, complete) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        zip(*(map(column.__getitem__, places) for column in columns), strict=True),
    )
    leaders = _leaders(places, folded, names, contents)
    if leaders:
        db.executemany("UPDATE staged SET leader = ? WHERE stage = ?", leaders)
    return bool(leaders), None in contents, changes


def _newest(parts: Sequence[Entries]) -> Sequence[Entries]:
    """The entries that count: of each name in one log the last."""
    last = dict(zip(chain.from_iterable(part.names for part in parts), count(), strict=False))
    if len(last) == sum(map(len, parts)):
        return parts
    newest = set(last.values())
    numbers = count()
    kept = (
        part.take([
            place for place, number in zip(range(len(part)), numbers, strict=False) if number in newest
        ])
        for part in parts
    )
    return [part for part in kept if part]


def _leaders(
    places: Sequence[int], folded: Sequence[str], names: Sequence[str], contents: Sequence[bytes | None]
) -> list[tuple[int, int]]:
    """Who follows whom, as (leader, stage), where ``places`` are in the order of folded names."""
    ordered = list(map(folded.__getitem__, places))
    same = list(compress(count(1), map(eq, islice(ordered, 1, None), ordered)))
    leaders: dict[tuple[str, bytes], int] = {}
    found: list[tuple[int, int]] = []
    for stage in sorted({at + more for at in same for more in (0, 1)}):
        name, content = names[places[stage - 1]], contents[places[stage - 1]]
        if content is not None and (leader := leaders.setdefault((name, content), stage)) < stage:
            found.append((leader, stage))
    return found


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
    # The type that a file was told with first stands as long as one of its holders says the same.
    db.execute(
        "UPDATE files SET media_type = (SELECT media_type FROM held WHERE held.file = files.file LIMIT 1) "
        "WHERE file IN (SELECT file FROM touched) AND NOT EXISTS "
        "(SELECT 1 FROM held WHERE held.file = files.file AND ifnull(held.media_type = files.media_type, 1))"
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
