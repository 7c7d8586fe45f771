"""Ids already computed, kept over restarts: a file is hashed once per (inode, size, mtime)."""

from __future__ import annotations

from collections.abc import Collection

from minga_node.library.scan import Signature
from minga_node.store import Store

SCHEMA = (
    """
    CREATE TABLE hash (
        inode INTEGER NOT NULL, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, id TEXT NOT NULL,
        PRIMARY KEY (inode, size, mtime_ns)
    ) WITHOUT ROWID;
    """,
)


class Hashes:
    def __init__(self, store: Store) -> None:
        self._store = store
        store.migrate("library", SCHEMA)

    def get(self, signature: Signature) -> str | None:
        """The id of the content with this signature, 64 hex digits, if it was hashed before."""
        row = (
            self._store
            .read()
            .execute(
                "SELECT id FROM hash WHERE inode = ? AND size = ? AND mtime_ns = ?",
                (signature.inode, signature.size, signature.mtime_ns),
            )
            .fetchone()
        )
        return str(row[0]) if row else None

    def put(self, hashed: Collection[tuple[Signature, str]]) -> None:
        with self._store.write() as db:
            db.executemany(
                "INSERT OR REPLACE INTO hash VALUES (?, ?, ?, ?)",
                [(s.inode, s.size, s.mtime_ns, identity) for s, identity in hashed],
            )

    def keep_only(self, current: Collection[Signature]) -> None:
        """Forgets files that are no more."""
        wanted = {(s.inode, s.size, s.mtime_ns) for s in current}
        with self._store.write() as db:
            known = db.execute("SELECT inode, size, mtime_ns FROM hash").fetchall()
            db.executemany(
                "DELETE FROM hash WHERE inode = ? AND size = ? AND mtime_ns = ?",
                [row for row in known if row not in wanted],
            )
