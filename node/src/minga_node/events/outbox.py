"""Events that wait for the broker, on disk, written in the transaction of what they tell."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from minga_node import tracing
from minga_node.errors import StorageFailed
from minga_node.events.cloud import Event
from minga_node.store import Store

STEPS = (
    """
CREATE TABLE outbox (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, target TEXT NOT NULL, type TEXT NOT NULL, body BLOB NOT NULL
);
CREATE TABLE seen_events (id TEXT PRIMARY KEY, seen INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX seen_events_seen ON seen_events (seen);
""",
)
REMEMBER_SECONDS = 14 * 86400
"""How long the ids of events are kept: twice as long as a queue waits for its node."""


MOST_TRACED = 16
"""Events that are traced of those added together: a folder of small files is one thing, not thousands."""


@dataclass(frozen=True, slots=True)
class WaitingEvent:
    """One message that the broker has not confirmed."""

    seq: int
    target: str
    """The node a job is for; empty for an event to everybody."""
    type: str
    body: bytes


class Outbox:
    """First in, first out. What was confirmed goes."""

    def __init__(self, store: Store) -> None:
        self._store = store
        store.migrate("outbox", STEPS)
        self.on_add: list[Callable[[], None]] = []
        """Called once something was added, and that is committed."""

    def add(self, events: Iterable[Event], target: str = "") -> None:
        """Adds events, within the caller's transaction if there is one."""
        if tracing.traceparent():
            events = _traced(list(events))
        with self._store.write() as db:
            db.executemany(
                "INSERT INTO outbox (target, type, body) VALUES (?, ?, ?)",
                [(target, event.type, event.encode()) for event in events],
            )
            for listener in self.on_add:
                self._store.after_commit(listener)

    def after(self, seq: int, limit: int) -> list[WaitingEvent]:
        rows = self._store.rows(
            "SELECT seq, target, type, body FROM outbox WHERE seq > ? ORDER BY seq LIMIT ?", (seq, limit)
        )
        return [WaitingEvent(*row) for row in rows]

    def oldest(self, types: Iterable[str]) -> WaitingEvent | None:
        """The one of these types that waits longest."""
        wanted = tuple(types)
        rows = self._store.rows(
            f"SELECT seq, target, type, body FROM outbox WHERE type IN ({', '.join('?' * len(wanted))})"
            " ORDER BY seq LIMIT 1",
            wanted,
        )
        return WaitingEvent(*rows[0]) if rows else None

    def confirmed(self, numbers: Sequence[int]) -> None:
        with self._store.write() as db:
            db.executemany("DELETE FROM outbox WHERE seq = ?", [(number,) for number in numbers])

    def __len__(self) -> int:
        return int(self._store.rows("SELECT count(*) FROM outbox")[0][0])

    def waiting(self) -> int:
        """How many messages wait; 0 when nobody can say any more."""
        try:
            return len(self)
        except StorageFailed:
            return 0  # the node is ending

    def first_time(self, db: sqlite3.Connection, event: Event) -> bool:
        """Notes that an event has its effect in this transaction; False when it had it before."""
        now = int(time.time())
        db.execute("DELETE FROM seen_events WHERE seen < ?", (now - REMEMBER_SECONDS,))
        key = f"{event.source}#{event.id}"
        return db.execute("INSERT OR IGNORE INTO seen_events VALUES (?, ?)", (key, now)).rowcount == 1


def _traced(events: list[Event]) -> list[Event]:
    """Events with the span that made each; whoever gets one continues from there, however late."""
    if len(events) > MOST_TRACED:
        return events
    made = []
    for event in events:
        with tracing.span(
            f"create {event.routing_key}", "producer", {"messaging.message.id": event.id}
        ) as span:
            made.append(replace(event, traceparent=span.traceparent))
    return made
