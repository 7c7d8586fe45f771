"""Wants: files that somebody looks for and nobody online has, yet."""

from __future__ import annotations

import logging
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable
from contextvars import Context, copy_context
from dataclasses import dataclass
from enum import StrEnum

from minga_node.errors import BadRequest, Conflict, MingaError, NotFound
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
    """
CREATE INDEX wants_state ON wants (state, created);
CREATE INDEX wants_created ON wants (created);
""",
)
DAYS = 7
MOST = 10_000
"""Open wants of this node, and wants of others that it keeps in mind."""
REMEMBERED = 1000
"""Wants that have ended and are shown, at most."""
LOOK_SECONDS = 2.0
"""Time between two looks at open wants; news are looked at at once."""
SHARE = 10
"""A look that took a second is followed by so many seconds without one: news in a row cost little."""
LONGEST_REST = 10.0
DENIED_SECONDS = 60.0
"""After everybody denied a content that the index has, until it is asked for again."""
COLUMNS = "id, name, content, fetch, state, created, expires, found_peer, found_name, found_id"


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
        clock: Callable[[], float] = time.monotonic,
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
        """What was found and is fetched by this part's own thread, after the transaction that found it."""
        self._gone: deque[str] = deque()
        """Contents whose fetch ended since everybody denies them."""
        self._denied: dict[str, float] = {}
        """Until when such a content counts as had by nobody, whatever the index says."""
        self._clock = clock
        self.worker = Worker("wants", self._step, interval=LOOK_SECONDS, delay=LOOK_SECONDS)
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
            Conflict: too many are open.
        """
        if not name and not content_id:
            raise BadRequest("a want needs a name or an id")
        if not 0 < seconds <= 365 * 86400:
            raise BadRequest("a want lasts a second to a year")
        id_, now = uuid.uuid4().hex, _now()
        expires = now + int(seconds * 1000)
        with self._store.write() as db:
            (count,) = db.execute("SELECT count(*) FROM wants WHERE state = 'waiting'").fetchone()
            if count >= MOST:
                raise Conflict(f"{MOST} wants are open here, which is the most: withdraw some")
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
        found = self._select("WHERE id = ?", id_)
        if not found:
            raise NotFound(f"there is no want {id_}")
        return found[0]

    def list(self) -> tuple[Want, ...]:
        """All of this node, the newest first."""
        return self._select("ORDER BY created DESC")

    def _select(self, where: str, *values: str) -> tuple[Want, ...]:
        rows = self._store.rows(f"SELECT {COLUMNS} FROM wants {where}", values)
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

    def _step(self) -> None:
        began = time.monotonic()
        self._take_back()
        self._fetch_found()
        self.look()
        self._fetch_found()
        self.worker.rest(min(LONGEST_REST, SHARE * (time.monotonic() - began)))

    def gone(self, content_id: str) -> None:
        """What was being fetched is nowhere any more; from any thread."""
        self._gone.append(content_id)
        self.worker.wake()

    def _take_back(self) -> None:
        """Wants whose fetch ended so wait again, as if nothing had been found."""
        now = self._clock()
        self._denied = {one: until for one, until in self._denied.items() if until > now}
        while self._gone:
            content_id = self._gone[0]
            with self._store.write() as db:
                count = db.execute(
                    "UPDATE wants SET state = 'waiting', found_peer = '', found_name = '', found_id = '' "
                    "WHERE state = 'available' AND fetch AND found_id = ?",
                    (content_id,),
                ).rowcount
            self._gone.popleft()
            if count:
                self._denied[content_id] = now + DENIED_SECONDS
                log.info("what was wanted is gone, and waited for again: %s", content_id)

    def _can_be_had(self, row: FileRow) -> bool:
        return row.available and row.id not in self._denied

    def look(self) -> None:
        """Finds out which wants can be satisfied by now, here and elsewhere."""
        self._forget()
        own = self._index.self_id
        waiting = self._select("WHERE state = 'waiting' ORDER BY created")
        names, ids = self._index.shared(*_looked_for((want.name, want.content_id) for want in waiting))
        for want in waiting:
            if not (want.content_id in ids if want.content_id else want.name in names):
                continue
            row = self._match(want.name, want.content_id, self._can_be_had)
            if row is not None:
                peer = next(h.peer_id for h in row.holders if h.online and h.complete)
                self._found(want.id, peer, row.name, row.id)
        heard = self._store.rows("SELECT id, peer, name, content FROM heard_wants")
        names, ids = self._index.shared(
            *_looked_for((name, content) for _, _, name, content in heard), peer_id=own
        )
        for id_, peer, name, content in heard:
            if not (content in ids if content else name in names):
                continue
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

    def _forget(self) -> None:
        """Ends what has expired, and forgets what ended long ago. Writes only if there is any of that."""
        now = _now()
        ended = "FROM wants WHERE state != 'waiting'"
        ((expired,),) = self._store.rows(
            "SELECT exists (SELECT 1 FROM wants WHERE state = 'waiting' AND expires < ?1) "
            "OR exists (SELECT 1 FROM heard_wants WHERE expires < ?1)",
            (now,),
        )
        ((count,),) = self._store.rows(f"SELECT count(*) {ended}")
        if not expired and count <= REMEMBERED:
            return
        with self._store.write() as db:
            db.execute("UPDATE wants SET state = 'expired' WHERE state = 'waiting' AND expires < ?", (now,))
            db.execute("DELETE FROM heard_wants WHERE expires < ?", (now,))
            db.execute(
                "DELETE FROM wants WHERE id IN "
                f"(SELECT id {ended} ORDER BY created DESC LIMIT -1 OFFSET {REMEMBERED})"
            )

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
            fetch = changed and db.execute("SELECT fetch FROM wants WHERE id = ?", (id_,)).fetchone()[0]
            if fetch:
                # In the context of what tells of it, so that the download is in its trace.
                self._to_fetch.append((copy_context(), content_id, name))
                self._store.after_commit(self.worker.wake)
        if changed:
            log.info("a want is satisfied: %s", peer)

    def _fetch_found(self) -> None:
        while self._to_fetch:
            context, content_id, found = self._to_fetch.popleft()
            context.run(self._fetch_it, content_id, found)

    def _fetch_it(self, content_id: str, name: str) -> None:
        try:
            self._fetch(content_id, name)
        except MingaError as error:
            log.warning("what was wanted cannot be fetched: %s", error)

    def _tell(self, key: str, subject: str, data: dict[str, str | int | bool]) -> None:
        if self._outbox is not None:
            self._outbox.add([make(self._network, key, subject, **data)])


def _looked_for(wants: Iterable[tuple[str | None, str | None]]) -> tuple[set[str], set[str]]:
    """The names and the ids that wants are for; the id counts where there are both."""
    both = list(wants)
    return {name for name, id_ in both if name and not id_}, {id_ for _, id_ in both if id_}


def _held_by(peer_id: str) -> Callable[[FileRow], bool]:
    return lambda row: any(holder.peer_id == peer_id and holder.complete for holder in row.holders)


def _now() -> int:
    return time.time_ns() // 1_000_000
