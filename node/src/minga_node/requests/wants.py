"""Wants: files that somebody looks for and nobody online has, yet."""

from __future__ import annotations

import logging
import time
import uuid
from collections import deque
from collections.abc import Callable
from contextvars import Context, copy_context
from dataclasses import dataclass
from enum import StrEnum

from minga_node.errors import BadRequest, MingaError, NotFound
from minga_node.events import Event, Outbox, make
from minga_node.index import Index
from minga_node.model import FileRow
from minga_node.store import Store
from minga_node.workers import Worker

log = logging.getLogger(__name__)

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
)
DAYS = 7
MOST = 10_000
LOOK_SECONDS = 2.0
"""Time between two looks at open wants; news are looked at at once."""


class WantState(StrEnum):
    WAITING = "waiting"
    AVAILABLE = "available"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True)
class Want:
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


class Wants:
    """This node's own wants, and those of others that it may satisfy one day.

    Args:
        outbox: None without a broker; then only the index tells that a want can be satisfied.
        fetch: starts a download of an id under a name.
    """

    def __init__(
        self,
        store: Store,
        index: Index,
        outbox: Outbox | None,
        network: str,
        fetch: Callable[[str, str], object],
    ) -> None:
        self._store, self._index, self._outbox, self._network, self._fetch = (
            store,
            index,
            outbox,
            network,
            fetch,
        )
        store.migrate("wants", STEPS)
        self._to_fetch: deque[tuple[Context, str, str]] = deque()
        self.worker = Worker("wants", self._look, interval=LOOK_SECONDS, delay=LOOK_SECONDS)
        index.on_change.append(lambda _peer: self.worker.wake())

    def start(self) -> None:
        self.worker.start()

    def stop(self) -> None:
        self.worker.stop()

    def add(
        self, name: str | None = None, content_id: str | None = None, *, seconds: float = DAYS * 86400,
        fetch: bool = False,
    ) -> Want:  # fmt: skip
        """Asks the network for a file.

        Raises:
            BadRequest: neither a name nor an id, or a time that is none.
        """
        if not name and not content_id:
            raise BadRequest("a want needs a name or an id")
        if not 0 < seconds <= 365 * 86400:
            raise BadRequest("a want lasts a second to a year")
        id_, now = uuid.uuid4().hex, _now()
        expires = now + int(seconds * 1000)
        with self._store.write() as db:
            db.execute(
                "INSERT INTO wants (id, name, content, fetch, state, created, expires) "
                "VALUES (?, ?, ?, ?, 'waiting', ?, ?)",
                (id_, name, content_id, fetch, now, expires),
            )
            data: dict[str, str | int | bool] = {"peer": self._index.self_id, "want": id_, "expires": expires}
            data |= {"name": name} if name else {}
            data |= {"id": content_id} if content_id else {}
            self._tell("want.placed", name or content_id or "", data)
        self.worker.wake()
        return self.get(id_)

    def get(self, id_: str) -> Want:
        """Raises NotFound."""
        found = [want for want in self.list() if want.id == id_]
        if not found:
            raise NotFound(f"there is no want {id_}")
        return found[0]

    def list(self) -> tuple[Want, ...]:
        """All of this node, the newest first."""
        rows = self._store.rows(
            "SELECT id, name, content, fetch, state, created, expires, found_peer, found_name, found_id "
            "FROM wants ORDER BY created DESC"
        )
        return tuple(
            Want(id_, name, content, bool(fetch), WantState(state), created, expires, peer, found, found_id)
            for id_, name, content, fetch, state, created, expires, peer, found, found_id in rows
        )

    def withdraw(self, id_: str) -> Want:
        """Raises NotFound."""
        with self._store.write() as db:
            self.get(id_)
            db.execute("UPDATE wants SET state = 'withdrawn' WHERE id = ? AND state = 'waiting'", (id_,))
            self._tell("want.withdrawn", id_, {"peer": self._index.self_id, "want": id_})
        return self.get(id_)

    # Events of others; each runs in the transaction that remembers it.

    def placed(self, event: Event) -> None:
        if event.number("expires") < _now() or not ("name" in event.data or "id" in event.data):
            return
        with self._store.write() as db:
            (count,) = db.execute("SELECT count(*) FROM heard_wants").fetchone()
            if count < MOST:
                db.execute(
                    "INSERT OR REPLACE INTO heard_wants VALUES (?, ?, ?, ?, ?)",
                    (event.text("want"), event.text("peer"), event.data.get("name"), event.data.get("id"),
                     event.number("expires")),
                )  # fmt: skip
            self._store.after_commit(self.worker.wake)

    def withdrawn(self, event: Event) -> None:
        with self._store.write() as db:
            db.execute(
                "DELETE FROM heard_wants WHERE id = ? AND peer = ?", (event.text("want"), event.text("peer"))
            )

    def satisfied(self, event: Event) -> None:
        if event.text("wanter") == self._index.self_id:
            self._found(event.text("want"), event.text("peer"), event.text("name"), event.text("id"))

    def _look(self) -> None:
        while self._to_fetch:
            context, content_id, found = self._to_fetch.popleft()
            context.run(self._fetch_it, content_id, found)
        now = _now()
        with self._store.write() as db:
            db.execute("UPDATE wants SET state = 'expired' WHERE state = 'waiting' AND expires < ?", (now,))
            db.execute("DELETE FROM heard_wants WHERE expires < ?", (now,))
        for want in self.list():
            if want.state is WantState.WAITING:
                row = self._match(want.name, want.content_id, lambda row: row.available)
                if row is not None:
                    peer = next(h.peer_id for h in row.holders if h.online and h.complete)
                    self._found(want.id, peer, row.name, row.id)
        own = self._index.self_id
        heard = self._store.rows("SELECT id, peer, name, content FROM heard_wants")
        for id_, peer, name, content in heard:
            row = self._match(name, content, _held_by(own))
            if row is None:
                continue
            with self._store.write() as db:
                db.execute("DELETE FROM heard_wants WHERE id = ?", (id_,))
                self._tell(
                    "want.satisfied",
                    row.name,
                    {"peer": own, "want": id_, "wanter": peer, "name": row.name, "id": row.id},
                )
            log.info("has what %s wants", peer)

    def _match(
        self, name: str | None, content_id: str | None, test: Callable[[FileRow], bool]
    ) -> FileRow | None:
        rows = self._index.by_id(content_id) if content_id else self._index.by_name(name or "")
        return next((row for row in rows if test(row) and (content_id or row.name == name)), None)

    def _found(self, id_: str, peer: str, name: str, content_id: str) -> None:
        with self._store.write() as db:
            changed = db.execute(
                "UPDATE wants SET state = 'available', found_peer = ?, found_name = ?, found_id = ? "
                "WHERE id = ? AND state = 'waiting'",
                (peer, name, content_id, id_),
            ).rowcount
            fetch = changed and self.get(id_).fetch
            if fetch:
                # In the context of what tells of it, so that the download is in its trace.
                self._to_fetch.append((copy_context(), content_id, name))
                self._store.after_commit(self.worker.wake)
        if changed:
            log.info("a want is satisfied: %s", peer)

    def _fetch_it(self, content_id: str, name: str) -> None:
        try:
            self._fetch(content_id, name)
        except MingaError as error:
            log.warning("what was wanted cannot be fetched: %s", error)

    def _tell(self, key: str, subject: str, data: dict[str, str | int | bool]) -> None:
        if self._outbox is not None:
            self._outbox.add([make(self._network, key, subject, **data)])


def _held_by(peer_id: str) -> Callable[[FileRow], bool]:
    return lambda row: any(holder.peer_id == peer_id and holder.complete for holder in row.holders)


def _now() -> int:
    return time.time_ns() // 1_000_000
