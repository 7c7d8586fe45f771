"""Downloads on disk, so that the next start knows them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from minga_node.downloads.model import DownloadState
from minga_node.store import Store

STEPS = (
    """CREATE TABLE download (
        id TEXT PRIMARY KEY,
        content_id TEXT NOT NULL,
        name TEXT NOT NULL,
        state TEXT NOT NULL,
        error TEXT NOT NULL,
        error_type TEXT NOT NULL,
        created_ms INTEGER NOT NULL,
        size INTEGER NOT NULL
    ) WITHOUT ROWID;""",
    "ALTER TABLE download ADD COLUMN rate_limit REAL NOT NULL DEFAULT 0;",
)
KEPT = 1000
"""Ended downloads that are remembered."""


@dataclass(frozen=True, slots=True)
class DownloadRecord:
    id: str
    content_id: str
    name: str
    state: DownloadState
    error: str
    error_type: str
    created_ms: int
    size: int
    limit: float = 0
    """Bytes a second; 0 for none of its own."""


class DownloadRecords:
    def __init__(self, store: Store) -> None:
        self._store = store
        store.migrate("downloads", STEPS)

    def put(self, *records: DownloadRecord, forget: Sequence[str] = ()) -> None:
        """Remembers some, and forgets others by their ids, in one transaction."""
        rows = [
            (r.id, r.content_id, r.name, str(r.state), r.error, r.error_type, r.created_ms, r.size, r.limit)
            for r in records
        ]
        with self._store.write() as db:
            db.executemany("INSERT OR REPLACE INTO download VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
            db.executemany("DELETE FROM download WHERE id = ?", [(old,) for old in forget])

    def all(self) -> list[DownloadRecord]:
        """Oldest first; too many ended ones are forgotten on the way."""
        rows = self._store.rows("SELECT * FROM download ORDER BY created_ms, id")
        records = [
            DownloadRecord(id, content, name, DownloadState(state), *rest)
            for id, content, name, state, *rest in rows  # noqa: A001
        ]
        ended = [record for record in records if record.state.ended]
        old = {record.id for record in ended[: max(0, len(ended) - KEPT)]}
        if old:
            self.put(forget=list(old))
        return [record for record in records if record.id not in old]
