"""Replication: sees to it that a content has as many complete holders as somebody asked for."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from minga_node import tracing
from minga_node.errors import BadRequest, BrokerUnavailable, MingaError, NotFound
from minga_node.events import Outbox, make
from minga_node.index import Index
from minga_node.model import Peer
from minga_node.requests.copy_placement import order, place
from minga_node.requests.jobs import Jobs, JobState
from minga_node.requests.presence import Presence
from minga_node.requests.room import PeerRoom
from minga_node.store import Store
from minga_node.workers import Worker

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
    """
INSERT OR IGNORE INTO sent_jobs
    SELECT j.job, 'hold', r.content, r.name, j.peer, r.id, j.state, '', 1000 * j.asked, 0
    FROM replication_jobs j JOIN replications r ON r.id = j.replication;
DROP TABLE replication_jobs;
ALTER TABLE replications ADD COLUMN upkeep INTEGER NOT NULL DEFAULT 0;
""",
)
LOOK_SECONDS = 1.0
PATIENCE_SECONDS = 60.0
"""How long a node that is not online may keep a job before another one is asked as well."""
AGAIN_SECONDS = 600.0
"""Time after which a node that gave a job up may be asked once more."""
LAG_SECONDS = 30.0
"""How long a job that was done counts as a copy which the index does not show yet."""
CANDIDATES = 16
"""Nodes whose room is asked for one copy."""


class ReplicationState(StrEnum):
    """What has become of a replication."""

    RUNNING = "running"
    COMPLETE = "complete"
    CANCELLED = "cancelled"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Replication:
    """A request for copies of one content, as it stands now."""

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
    upkeep: bool
    """Asked for by the node itself, for the network's target."""
    holders: int
    """Complete holders online."""
    asked: tuple[str, ...]
    """Nodes with a job for it that is not done."""


class Replications:
    """The replications asked for at this node; the worker ``replication`` gives jobs until each is complete.

    Args:
        jobs: None without a broker.
        alive: the other nodes that are online.
        room: free bytes of a node; raises MingaError.
        presence: who counts as a holder for the network's target.
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
        presence: Presence,
    ) -> None:
        self._store, self._index, self._outbox, self._jobs = store, index, outbox, jobs
        self._network, self._alive, self._room, self._presence = network, alive, PeerRoom(room), presence
        self.worker = Worker("replication", self._look, interval=LOOK_SECONDS, delay=LOOK_SECONDS)
        self._traces: dict[str, str] = {}
        """What asked for those that run, as traceparents."""
        if jobs is not None:
            # Its tables take over what was there before they were.
            store.migrate("replication", STEPS)
            jobs.on_ended.append(self.worker.wake)

    def start(self) -> None:
        if self._jobs is not None:
            self.worker.start()

    def stop(self) -> None:
        self.worker.stop()

    def request(self, content_id: str, copies: int, *, upkeep: bool = False) -> Replication:
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
                "INSERT INTO replications VALUES (?, ?, ?, ?, ?, 'running', ?, '', ?)",
                (id_, content_id, rows[0].name, rows[0].size, copies, time.time_ns() // 1_000_000, upkeep),
            )
        self.worker.wake()
        return self.get(id_)

    def cancel(self, id_: str) -> Replication:
        """Asks for no further copies; those that were made, or are being made, stay. Raises NotFound."""
        before = self.get(id_)
        self._end(before, ReplicationState.CANCELLED)
        return before if before.upkeep else self.get(id_)

    def get(self, id_: str) -> Replication:
        """One replication of this node. Raises NotFound."""
        found = self._select("WHERE id = ?", id_)
        if not found:
            raise NotFound(f"there is no replication {id_}")
        return found[0]

    def list(self) -> tuple[Replication, ...]:
        """All of this node, the newest first."""
        return self._select("ORDER BY created DESC")

    def running(self) -> tuple[Replication, ...]:
        return self._select("WHERE state = 'running' ORDER BY created")

    def _select(self, where: str, *values: str) -> tuple[Replication, ...]:
        if self._jobs is None:
            return ()
        columns = "id, content, name, size, copies, state, created, problem, upkeep"
        rows = self._store.rows(f"SELECT {columns} FROM replications {where}", values)
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
                bool(upkeep),
                len(self._holders(content)),
                tuple(job.peer_id for job in self._jobs.of(id_) if job.state is JobState.ASKED),
            )
            for id_, content, name, size, copies, state, created, problem, upkeep in rows
        )

    def _holders(self, content_id: str) -> set[str]:
        return {h.peer_id for h in self._index.holders(content_id) if h.online and h.complete}

    def _end(self, each: Replication, state: ReplicationState, problem: str = "") -> None:
        self._traces.pop(each.id, None)
        with self._store.write() as db:
            if each.upkeep:
                # Nobody asked, nobody is told: the target's own figures say how it is.
                db.execute("DELETE FROM replications WHERE id = ?", (each.id,))
                return
            db.execute(
                "UPDATE replications SET state = ?, problem = ? WHERE id = ? AND state = 'running'",
                (state, problem, each.id),
            )
            if state is ReplicationState.COMPLETE and self._outbox is not None:
                event = make(
                    self._network, "replication.completed", each.name, peer=self._index.self_id,
                    replication=each.id, id=each.content_id, copies=each.holders,
                )  # fmt: skip
                self._outbox.add([event])

    def _look(self) -> None:
        problem: MingaError | None = None
        for each in self.running():
            if self.worker.stopping.is_set():
                return
            self.worker.beat()
            try:
                self._advance(each)
            except MingaError as error:
                problem = error  # the others go on
        if problem is not None:
            raise problem

    def _advance(self, each: Replication) -> None:
        holders = self._holders(each.content_id)
        if each.upkeep:
            counts = self._presence.counts()
            found = self._index.holders(each.content_id)
            holders = {h.peer_id for h in found if h.complete and counts(h.peer_id)}
        if len(holders) >= each.copies:
            self._end(each, ReplicationState.COMPLETE)
            log.info("%s has %d complete holders", each.name, len(holders))
            return
        if not self._index.by_id(each.content_id):
            self._end(each, ReplicationState.FAILED, "nobody shares it any more")
            return
        assert self._jobs is not None
        now = time.time()
        at_it: set[str] = set()
        excluded = set(holders)
        for job in self._jobs.of(each.id):
            age = now - job.asked_ms / 1000
            online = self._index.online(job.peer_id)
            if job.state is JobState.ASKED:
                excluded.add(job.peer_id)
                if online or age < PATIENCE_SECONDS:
                    at_it.add(job.peer_id)
            elif job.state is JobState.DONE and now - job.ended_ms / 1000 < LAG_SECONDS:
                at_it.add(job.peer_id)
            elif job.state is JobState.FAILED and age < AGAIN_SECONDS:
                excluded.add(job.peer_id)
        if each.copies <= len(holders | at_it):
            return
        alive = {peer.id: peer for peer in self._alive() if peer.id not in excluded}
        candidates = [alive[peer_id] for peer_id in order(each.content_id, alive)]
        room = self._room.of(candidates, CANDIDATES)
        chosen = place(each.content_id, each.copies, holders, at_it, room, each.size)
        problem = "" if chosen or at_it else "no further node is online that has room for a copy"
        trace = self._traces.get(each.id)
        span = tracing.span("place copies", parent=trace) if trace and chosen else tracing.NOTHING
        with span, self._store.write() as db:
            for peer_id in chosen:
                self._jobs.send_hold(
                    peer_id, each.content_id, each.name, copies=each.copies, replication=each.id
                )
            if problem != each.problem:
                db.execute("UPDATE replications SET problem = ? WHERE id = ?", (problem, each.id))
