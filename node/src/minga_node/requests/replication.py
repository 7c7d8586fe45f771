"""Replication: sees to it that a content has as many complete holders as somebody asked for."""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from minga_node import tracing
from minga_node.errors import BadRequest, BrokerUnavailable, MingaError, NotFound
from minga_node.events import Event, Outbox, make
from minga_node.index import Index
from minga_node.model import Peer
from minga_node.requests.jobs import Jobs
from minga_node.requests.placing import place
from minga_node.store import Store

log = logging.getLogger(__name__)

STEPS = (
    """
CREATE TABLE replications (
    id TEXT PRIMARY KEY, content TEXT NOT NULL, name TEXT NOT NULL, size INTEGER NOT NULL,
    copies INTEGER NOT NULL, state TEXT NOT NULL, created INTEGER NOT NULL, problem TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE replication_jobs (
    job TEXT PRIMARY KEY, replication TEXT NOT NULL, peer TEXT NOT NULL, state TEXT NOT NULL,
    asked INTEGER NOT NULL
) WITHOUT ROWID;
""",
)
LOOK_SECONDS = 1.0
PATIENCE_SECONDS = 60
"""How long a node that is not online may keep a job before another one is asked as well."""
CANDIDATES = 16


class ReplicationState(StrEnum):
    RUNNING = "running"
    COMPLETE = "complete"


@dataclass(frozen=True, slots=True)
class Replication:
    id: str
    content_id: str
    name: str
    size: int
    copies: int
    """Complete holders asked for."""
    state: ReplicationState
    created_ms: int
    problem: str
    """Why it does not go on; empty otherwise."""
    holders: int
    """Complete holders online."""
    asked: tuple[str, ...]
    """Nodes with a job for it that is not done."""


class Replications:
    """The requests made at this node.

    Args:
        jobs: None without a broker.
        alive: the other nodes that are online.
        room: free bytes of a node; raises MingaError.
    """

    def __init__(
        self,
        store: Store,
        index: Index,
        outbox: Outbox | None,
        jobs: Jobs | None,
        network: str,
        alive: Callable[[], Sequence[Peer]],
        room: Callable[[Peer], int],
    ) -> None:
        self._store, self._index, self._outbox, self._jobs = store, index, outbox, jobs
        self._network, self._alive, self._room = network, alive, room
        store.migrate("replication", STEPS)
        self._stop = threading.Event()
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._run, name="replication", daemon=True)
        self._traces: dict[str, str] = {}
        """What asked for those that run, as traceparents."""

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._wake.set()
        if self._thread.ident is not None:
            self._thread.join(3.0)

    def request(self, content_id: str, copies: int) -> Replication:
        """Asks for complete holders of a content.

        Raises:
            BadRequest, NotFound, BrokerUnavailable: no broker is configured, which jobs need.
        """
        if self._jobs is None:
            raise BrokerUnavailable("copies are made by jobs, which need a message broker: set broker_url")
        if not 1 <= copies <= 1000:
            raise BadRequest(f"copies is {copies}: expected 1 to 1000")
        rows = self._index.by_id(content_id)
        if not rows:
            raise NotFound(f"nobody shares the content {content_id}")
        id_ = uuid.uuid4().hex
        if trace := tracing.traceparent():
            self._traces[id_] = trace
        with self._store.write() as db:
            db.execute(
                "INSERT INTO replications VALUES (?, ?, ?, ?, ?, 'running', ?, '')",
                (id_, content_id, rows[0].name, rows[0].size, copies, time.time_ns() // 1_000_000),
            )
        self._wake.set()
        return self.get(id_)

    def get(self, id_: str) -> Replication:
        """Raises NotFound."""
        found = [each for each in self.list() if each.id == id_]
        if not found:
            raise NotFound(f"there is no replication {id_}")
        return found[0]

    def list(self) -> tuple[Replication, ...]:
        """All of this node, the newest first."""
        db = self._store.read()
        rows = db.execute(
            "SELECT id, content, name, size, copies, state, created, problem FROM replications "
            "ORDER BY created DESC"
        ).fetchall()
        asked: dict[str, list[str]] = {}
        for replication, peer in db.execute(
            "SELECT replication, peer FROM replication_jobs WHERE state = 'asked' ORDER BY peer"
        ):
            asked.setdefault(replication, []).append(peer)
        return tuple(
            Replication(
                id_,
                content,
                name,
                size,
                copies,
                ReplicationState(state),
                created,
                problem,
                len(self._holders(content)),
                tuple(asked.get(id_, ())),
            )
            for id_, content, name, size, copies, state, created, problem in rows
        )

    def done(self, event: Event) -> None:
        self._ended(event, "done")

    def failed(self, event: Event) -> None:
        self._ended(event, "failed")

    def _ended(self, event: Event, state: str) -> None:
        with self._store.write() as db:
            db.execute("UPDATE replication_jobs SET state = ? WHERE job = ?", (state, event.text("job")))
        self._wake.set()

    def _holders(self, content_id: str) -> set[str]:
        return {h.peer_id for h in self._index.holders(content_id) if h.online and h.complete}

    def _run(self) -> None:
        while not self._stop.is_set():
            self._wake.wait(LOOK_SECONDS)
            self._wake.clear()
            for each in self.list():
                if each.state is ReplicationState.RUNNING and not self._stop.is_set():
                    try:
                        self._advance(each)
                    except MingaError as error:
                        log.warning("replication of %s: %s", each.name, error)

    def _advance(self, each: Replication) -> None:
        holders = self._holders(each.content_id)
        own = self._index.self_id
        if len(holders) >= each.copies:
            with self._store.write() as db:
                db.execute(
                    "UPDATE replications SET state = 'complete', problem = '' WHERE id = ?", (each.id,)
                )
                if self._outbox is not None:
                    event = make(
                        self._network, "replication.completed", each.name,
                        peer=own, replication=each.id, id=each.content_id, copies=len(holders),
                    )  # fmt: skip
                    self._outbox.add([event])
            self._traces.pop(each.id, None)
            log.info("%s has %d complete holders", each.name, len(holders))
            return
        rows = (
            self._store
            .read()
            .execute("SELECT peer, state, asked FROM replication_jobs WHERE replication = ?", (each.id,))
            .fetchall()
        )
        patient = time.time() - PATIENCE_SECONDS
        at_it = {peer for peer, state, when in rows
                 if state == "asked" and (self._index.online(peer) or when > patient)}  # fmt: skip
        excluded = holders | {peer for peer, _, _ in rows}
        if each.copies <= len(holders | at_it):
            return
        room: dict[str, int] = {}
        for peer in self._alive():
            if peer.id not in excluded and len(room) < CANDIDATES:
                try:
                    room[peer.id] = self._room(peer)
                except MingaError:
                    continue
        chosen = place(each.copies, holders, at_it, room, each.size)
        problem = "" if chosen or at_it else "no further node is online that has room for a copy"
        trace = self._traces.get(each.id)
        span = tracing.span("place copies", parent=trace) if trace and chosen else tracing.NOTHING
        with span, self._store.write() as db:
            for peer_id in chosen:
                assert self._jobs is not None
                job = self._jobs.send_hold(peer_id, each.content_id, each.name)
                db.execute(
                    "INSERT INTO replication_jobs VALUES (?, ?, ?, 'asked', ?)",
                    (job, each.id, peer_id, int(time.time())),
                )
            if problem != each.problem:
                db.execute("UPDATE replications SET problem = ? WHERE id = ?", (problem, each.id))
