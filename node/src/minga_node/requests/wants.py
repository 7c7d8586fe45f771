"""Wants: files that somebody looks for and nobody online has, yet."""

from __future__ import annotations

import logging
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable
from contextvars import Context, copy_context

from minga_node.errors import BadRequest, MingaError, NotFound
from minga_node.events import Event, Outbox, make
from minga_node.index import Index
from minga_node.model import FileRow
from minga_node.requests.want_records import HeardWant, Want, WantRecords, now_ms
from minga_node.store import Store
from minga_node.workers import Worker

log = logging.getLogger(__name__)

WANT_DAYS = 7
"""How long a want stays open, unless it says so itself."""
LOOK_SECONDS = 2.0
"""Time between two looks at open wants. News of the index cause a look at once."""
REST_FACTOR = 10
"""A look that took a second is followed by so many seconds without one: news in a row cost little."""
LONGEST_REST_SECONDS = 10.0
DENIED_SECONDS = 60.0
"""After everybody denied a content that the index has, until it is asked for again."""


class Wants:
    """This node's own wants, and those of others that it may satisfy one day.

    Any thread may call. The worker ``wants`` fetches what was found, after the transaction that found it.

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
        self._store, self._index, self._outbox, self._network = store, index, outbox, network
        self._fetch, self._clock = fetch, clock
        self._records = WantRecords(store)
        self._to_fetch: deque[tuple[Context, str, str]] = deque()
        """What was found and is to be fetched: the trace it belongs to, the id and the name."""
        self._gone: deque[str] = deque()
        """Contents whose fetch ended since everybody denies them."""
        self._denied: dict[str, float] = {}
        """Until when such a content counts as had by nobody, whatever the index says."""
        self.worker = Worker("wants", self._step, interval=LOOK_SECONDS, delay=LOOK_SECONDS)
        index.on_change.append(lambda _peer: self.worker.wake())

    def start(self) -> None:
        """Begins to look at open wants."""
        self.worker.start()

    def stop(self) -> None:
        """Ends the worker."""
        self.worker.stop()

    def add(
        self, name: str | None = None, content_id: str | None = None, *, seconds: float = WANT_DAYS * 86400,
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
        id_, expires_ms = uuid.uuid4().hex, now_ms() + int(seconds * 1000)
        data: dict[str, str | int | bool] = {"peer": self._index.self_id, "want": id_, "expires": expires_ms}
        data |= {"name": name} if name else {}
        data |= {"id": content_id} if content_id else {}
        with self._store.write():
            self._records.add(id_, name, content_id, expires_ms, fetch=fetch)
            self._tell("want.placed", name or content_id or "", data)
        self.worker.wake()
        return self.get(id_)

    def get(self, id_: str) -> Want:
        """One want of this node. Raises NotFound."""
        found = self._records.get(id_)
        if found is None:
            raise NotFound(f"there is no want {id_}")
        return found

    def list(self) -> tuple[Want, ...]:
        """All wants of this node, the newest first."""
        return self._records.list()

    def withdraw(self, id_: str) -> Want:
        """Ends a want of this node, unless it has ended already. Raises NotFound."""
        with self._store.write():
            self.get(id_)
            self._records.withdraw(id_)
            self._tell("want.withdrawn", id_, {"peer": self._index.self_id, "want": id_})
        return self.get(id_)

    # Events of others; each runs in the transaction that remembers it.

    def placed(self, event: Event) -> None:
        """Another node wants something."""
        if event.number("expires") < now_ms() or not ("name" in event.data or "id" in event.data):
            return
        name, content_id = (event.text(key) if key in event.data else None for key in ("name", "id"))
        with self._store.write():
            self._records.hear(
                HeardWant(event.text("want"), event.text("peer"), name, content_id), event.number("expires")
            )
            self._store.after_commit(self.worker.wake)

    def withdrawn(self, event: Event) -> None:
        """Another node wants something no more."""
        self._records.forget_heard(event.text("want"), event.text("peer"))

    def satisfied(self, event: Event) -> None:
        """Another node has what somebody wants: perhaps this node."""
        if event.text("wanter") == self._index.self_id:
            self._found(event.text("want"), event.text("peer"), event.text("name"), event.text("id"))

    def gone(self, content_id: str) -> None:
        """Nobody has a content any more that was being fetched. From any thread."""
        self._gone.append(content_id)
        self.worker.wake()

    # The worker.

    def _step(self) -> None:
        began = time.monotonic()
        self._take_back()
        self._fetch_found()
        self.look()
        self._fetch_found()
        self.worker.rest(min(LONGEST_REST_SECONDS, REST_FACTOR * (time.monotonic() - began)))

    def _take_back(self) -> None:
        """Opens wants again whose fetch ended because everybody denies the content."""
        now = self._clock()
        self._denied = {one: until for one, until in self._denied.items() if until > now}
        while self._gone:
            content_id = self._gone[0]
            count = self._records.lost(content_id)
            self._gone.popleft()
            if count:
                self._denied[content_id] = now + DENIED_SECONDS
                log.info("nobody has the content %s any more: %d wants wait again", content_id, count)

    def look(self) -> None:
        """Finds out which wants can be satisfied by now, here and elsewhere."""
        self._records.tidy()
        self._look_for_own()
        self._look_for_others()

    def _look_for_own(self) -> None:
        """Satisfies wants of this node from what the index says that others have."""
        waiting = self._records.waiting()
        names, ids = self._index.shared(*_looked_for((want.name, want.content_id) for want in waiting))
        for want in waiting:
            if not (want.content_id in ids if want.content_id else want.name in names):
                continue
            row = self._match(want.name, want.content_id, self._can_be_had)
            if row is not None:
                peer_id = next(h.peer_id for h in row.holders if h.online and h.complete)
                self._found(want.id, peer_id, row.name, row.id)

    def _look_for_others(self) -> None:
        """Tells other nodes that this one has what they want."""
        own, heard = self._index.self_id, self._records.heard()
        names, ids = self._index.shared(
            *_looked_for((want.name, want.content_id) for want in heard), peer_id=own
        )
        for want in heard:
            if not (want.content_id in ids if want.content_id else want.name in names):
                continue
            row = self._match(want.name, want.content_id, _held_by(own))
            if row is None:
                continue
            data: dict[str, str | int | bool] = {
                "peer": own, "want": want.id, "wanter": want.peer_id, "name": row.name, "id": row.id,
            }  # fmt: skip
            with self._store.write():
                self._records.forget_heard(want.id, want.peer_id)
                self._tell("want.satisfied", row.name, data)
            log.info("this node has what %s wants", want.peer_id)

    def _can_be_had(self, row: FileRow) -> bool:
        return row.available and row.id not in self._denied

    def _match(
        self, name: str | None, content_id: str | None, test: Callable[[FileRow], bool]
    ) -> FileRow | None:
        rows = self._index.by_id(content_id) if content_id else self._index.by_name(name or "")
        return next((row for row in rows if test(row) and (content_id or row.name == name)), None)

    def _found(self, id_: str, peer_id: str, name: str, content_id: str) -> None:
        with self._store.write():
            want = self._records.found(id_, peer_id, name, content_id)
            if want is not None and want.fetch:
                # In the context of what tells of it, so that the download is in its trace.
                self._to_fetch.append((copy_context(), content_id, name))
                self._store.after_commit(self.worker.wake)
        if want is not None:
            log.info("a want is satisfied: %s has it", peer_id)

    def _fetch_found(self) -> None:
        while self._to_fetch:
            context, content_id, name = self._to_fetch.popleft()
            context.run(self._fetch_it, content_id, name)

    def _fetch_it(self, content_id: str, name: str) -> None:
        try:
            self._fetch(content_id, name)
        except MingaError as error:
            log.warning("the wanted file %s cannot be fetched: %s", name, error)

    def _tell(self, key: str, subject: str, data: dict[str, str | int | bool]) -> None:
        if self._outbox is not None:
            self._outbox.add([make(self._network, key, subject, **data)])


def _looked_for(wants: Iterable[tuple[str | None, str | None]]) -> tuple[set[str], set[str]]:
    """The names and the ids that wants are for; the id counts where there are both."""
    both = list(wants)
    return {name for name, id_ in both if name and not id_}, {id_ for _, id_ in both if id_}


def _held_by(peer_id: str) -> Callable[[FileRow], bool]:
    return lambda row: any(holder.peer_id == peer_id and holder.complete for holder in row.holders)
