"""The manifests this node knows, in its store."""

from __future__ import annotations

from collections.abc import Iterable

from minga_node.manifest import Manifest
from minga_node.store import Store

STEPS = (
    "CREATE TABLE manifest (id BLOB PRIMARY KEY, encoded BLOB NOT NULL) WITHOUT ROWID;",
    # Big contents had pieces twice as big, 512 or more, and so another id: their files are hashed anew.
    "DELETE FROM manifest WHERE length(encoded) >= 20 + 32 * 512;",
)


class Manifests:
    """Kept for every content that is, or is being brought, here."""

    def __init__(self, store: Store) -> None:
        self._store = store
        store.migrate("manifests", STEPS)

    def get(self, id: str) -> Manifest | None:  # noqa: A002
        """The manifest of an id (64 hex digits), if known."""
        found = self._store.rows("SELECT encoded FROM manifest WHERE id = ?", (bytes.fromhex(id),))
        return Manifest.decode(found[0][0]) if found else None

    def put(self, manifest: Manifest) -> None:
        self.put_many((manifest,))

    def put_many(self, manifests: Iterable[Manifest]) -> None:
        """All of them in one transaction."""
        rows = [(bytes.fromhex(manifest.id), manifest.encode()) for manifest in manifests]
        with self._store.write() as db:
            db.executemany("INSERT OR IGNORE INTO manifest VALUES (?, ?)", rows)

    def remove(self, ids: Iterable[str]) -> None:
        with self._store.write() as db:
            db.executemany("DELETE FROM manifest WHERE id = ?", [(bytes.fromhex(id),) for id in ids])  # noqa: A001
