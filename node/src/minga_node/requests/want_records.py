"""Wants as they are on the disk: this node's own, and the wants of others that it has heard of."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from minga_node.errors import Conflict
from minga_node.store import Store

STEPS = (
    """
CREATE TABLE wants (
    id TEXT PRIMARY KEY, name TEXT, content TEXT, fetch INTEGER NOT NULL, state TEXT NOT NULL,
    created INTEGER NOT NULL, expires INTEGER NOT NULL, found_peer TEXT NOT NULL DEFAULT '',
    found_name TEXT NOT NULL DEFAULT '', found_id TEXT NOT NULL DEFAULT ''
) WITHOUT ROWID;
CREATE TABLE heard_wants (
    id TEXT PRIMARY KEY, peer TEXT NOT NULL, name TEXT, content TEXT, expires INTEGER NOT NULL
) WITHOUT ROWID;
""",
    """
CREATE INDEX wants_state ON wants (state, created);
CREATE INDEX wants_created ON wants (created);
""",
)
MOST_OPEN_WANTS = 10_000
"""Open wants of this node, and wants of others that it keeps in mind: each at most so many."""
MOST_ENDED_WANTS = 1000
"""Wants that have ended and are shown, at most."""
COLUMNS = "id, name, content, fetch, state, created, expires, found_peer, found_name, found_id"


class WantState(StrEnum):
    """What has become of a want."""

    WAITING = "waiting"
    AVAILABLE = "available"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True)
class Want:
    """One want of this node. Times are milliseconds since 1970."""

    id: str
    name: str | None
    content_id: str | None
    fetch: bool
    """Fetch it as soon as somebody has it."""
    state: WantState
    created_ms: int
    expires_ms: int
    found_peer: str
    found_name: str
    found_id: str


class HeardWant(NamedTuple):
    """A want of another node."""

    id: str
    peer_id: str
    name: str | None
    content_id: str | None


class WantRecords:
    """The two tables of wants. A method that writes does so in the caller's transaction, if there is one."""

    def __init__(self, store: Store) -> None:
        self._store = store
        store.migrate("wants", STEPS)

    def add(
        self, id_: str, name: str | None, content_id: str | None, expires_ms: int, *, fetch: bool
    ) -> None:
        """Writes down a new want of this node.

        Raises:
            Conflict: too many are open.
        """
        with self._store.write() as db:
            (count,) = db.execute("SELECT count(*) FROM wants WHERE state = 'waiting'").fetchone()
            if count >= MOST_OPEN_WANTS:
                raise Conflict(f"{MOST_OPEN_WANTS} wants are open here, which is the most: withdraw some")
            db.execute(
                "INSERT INTO wants (id, name, content, fetch, state, created, expires) "
                "VALUES (?, ?, ?, ?, 'waiting', ?, ?)",
                (id_, name, content_id, fetch, now_ms(), expires_ms),
            )

    def get(self, id_: str) -> Want | None:
        """One want of this node."""
        found = self._select("WHERE id = ?", id_)
        return found[0] if found else None

    def list(self) -> tuple[Want, ...]:
        """All wants of this node, the newest first."""
        return self._select("ORDER BY created DESC")

    def waiting(self) -> tuple[Want, ...]:
        """The open wants of this node, the oldest first."""
        return self._select("WHERE state = 'waiting' ORDER BY created")

    def _select(self, where: str, *values: str) -> tuple[Want, ...]:
        rows = self._store.rows(f"SELECT {COLUMNS} FROM wants {where}", values)
        return tuple(
            Want(id_, name, content, bool(fetch), WantState(state), created, expires, peer, found, found_id)
            for id_, name, content, fetch, state, created, expires, peer, found, found_id in rows
        )

    def withdraw(self, id_: str) -> None:
        """Ends an open want."""
        with self._store.write() as db:
            db.execute("UPDATE wants SET state = 'withdrawn' WHERE id = ? AND state = 'waiting'", (id_,))

    def found(self, id_: str, peer_id: str, name: str, content_id: str) -> Want | None:
        """Notes who has what an open want is for; the want, or None where it was not open."""
        with self._store.write() as db:
            changed = db.execute(
                "UPDATE wants SET state = 'available', found_peer = ?, found_name = ?, found_id = ? "
                "WHERE id = ? AND state = 'waiting'",
                (peer_id, name, content_id, id_),
            ).rowcount
            return self.get(id_) if changed else None

    def lost(self, content_id: str) -> int:
        """Opens the wants again that were fetching a content; returns how many they are."""
        with self._store.write() as db:
            return db.execute(
                "UPDATE wants SET state = 'waiting', found_peer = '', found_name = '', found_id = '' "
                "WHERE state = 'available' AND fetch AND found_id = ?",
                (content_id,),
            ).rowcount

    def hear(self, want: HeardWant, expires_ms: int) -> None:
        """Keeps another node's want in mind, while there is room for it."""
        with self._store.write() as db:
            (count,) = db.execute("SELECT count(*) FROM heard_wants").fetchone()
            if count < MOST_OPEN_WANTS:
                db.execute("INSERT OR REPLACE INTO heard_wants VALUES (?, ?, ?, ?, ?)", (*want, expires_ms))

    def heard(self) -> Sequence[HeardWant]:
        """The wants of other nodes."""
        return [
            HeardWant(*row) for row in self._store.rows("SELECT id, peer, name, content FROM heard_wants")
        ]

    def forget_heard(self, id_: str, peer_id: str) -> None:
        """Forgets one want of another node."""
        with self._store.write() as db:
            db.execute("DELETE FROM heard_wants WHERE id = ? AND peer = ?", (id_, peer_id))

    def tidy(self) -> None:
        """Ends what has expired, and forgets what ended long ago. Writes only if there is any of that."""
        now = now_ms()
        ended = "FROM wants WHERE state != 'waiting'"
        ((expired,),) = self._store.rows(
            "SELECT exists (SELECT 1 FROM wants WHERE state = 'waiting' AND expires < ?1) "
            "OR exists (SELECT 1 FROM heard_wants WHERE expires < ?1)",
            (now,),
        )
        ((count,),) = self._store.rows(f"SELECT count(*) {ended}")
        if not expired and count <= MOST_ENDED_WANTS:
            return
        with self._store.write() as db:
            db.execute("UPDATE wants SET state = 'expired' WHERE state = 'waiting' AND expires < ?", (now,))
            db.execute("DELETE FROM heard_wants WHERE expires < ?", (now,))
            db.execute(
                "DELETE FROM wants WHERE id IN "
                f"(SELECT id {ended} ORDER BY created DESC LIMIT -1 OFFSET {MOST_ENDED_WANTS})"
            )


def now_ms() -> int:
    """The wall clock, in milliseconds since 1970."""
    return time.time_ns() // 1_000_000
