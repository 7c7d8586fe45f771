"""Deltas as they are read from the tables."""

from __future__ import annotations

import sqlite3
from bisect import bisect_right
from itertools import accumulate, chain

from minga_node.index.log.entries import Entries
from minga_node.index.log.log_state import Delta
from minga_node.index.log.table_schema import ENTRY

ROWS = 20_000
"""Entries in one delta that this node makes, at most."""
ENTRY_BYTES = 60
"""Bytes of an entry on the wire, besides its name and media type."""


def wire_bytes(delta: Delta) -> int:
    """About how many bytes its entries are on the wire."""
    _, names, _, _, media_types, *_ = Entries.of(delta.entries).columns
    return sum(map(len, names)) + sum(map(len, media_types)) + ENTRY_BYTES * len(names)


def read(
    db: sqlite3.Connection, peer_id: str, from_version: int, max_bytes: int, *, reset: bool
) -> Delta | None:
    """What somebody lacks who knows a log up to ``from_version``, about ``max_bytes`` of it.

    Signed where it reaches the end of what is here; without entries for who lacks the signature alone.
    Everything is read from one snapshot: a signature is of exactly one state of the log.
    """
    db.execute("BEGIN")
    try:
        return _read(db, peer_id, from_version, max_bytes, reset=reset)
    finally:
        db.execute("COMMIT")


def _read(
    db: sqlite3.Connection, peer_id: str, from_version: int, max_bytes: int, *, reset: bool
) -> Delta | None:
    known = db.execute(
        "SELECT log, epoch, version, compacted, signature FROM logs WHERE peer = ?", (peer_id,)
    ).fetchone()
    if known is None:
        return None
    log, epoch, version, compacted, signature = known
    if version < from_version or (version == from_version and not signature):
        return None
    most = min(ROWS, max_bytes // ENTRY_BYTES + 1)
    limits = (log, from_version, most + 1)
    rows = db.execute(
        f"SELECT {ENTRY} FROM held h CROSS JOIN files f ON f.file = h.file "
        "WHERE h.log = ? AND h.version > ? ORDER BY h.version LIMIT ?",
        limits,
    ).fetchall()
    gone = db.execute(
        "SELECT version, name, NULL, 0, '', 0, 1 FROM tombstones WHERE log = ? AND version > ? "
        "ORDER BY version LIMIT ?",
        limits,
    ).fetchall()
    ordered = sorted(chain(rows, gone)) if gone else rows
    sizes = accumulate(len(row[1]) + len(row[4]) + ENTRY_BYTES for row in ordered)
    fitting = bisect_right(tuple(sizes), max_bytes)
    taken = min(max(fitting, 1), most, len(ordered))
    whole = taken == len(ordered)
    return Delta(
        peer_id,
        epoch,
        from_version,
        version if whole else ordered[taken - 1][0],
        reset,
        compacted,
        Entries.of(ordered if whole else ordered[:taken]),
        signature if whole else b"",
    )
