"""Jobs: what one node asks another to do, told by the broker, done before it is acknowledged."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from minga_node.errors import BadRequest, NotFound
from minga_node.events import Event, Outbox, make
from minga_node.store import Store

STEPS = (
    """
CREATE TABLE sent_jobs (
    id TEXT PRIMARY KEY, kind TEXT NOT NULL, content TEXT NOT NULL, name TEXT NOT NULL, peer TEXT NOT NULL,
    replication TEXT NOT NULL, state TEXT NOT NULL, problem TEXT NOT NULL, asked INTEGER NOT NULL,
    ended INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX sent_jobs_asked ON sent_jobs (asked);
CREATE INDEX sent_jobs_replication ON sent_jobs (replication);
""",
)
MOST_ID_CHARACTERS = 100
NAMES = uuid.UUID("b2e3c5a4-6d0f-4f0e-9d57-8a1f5d4a7c21")
"""The namespace of jobs' ids that are too long to be part of another id (RFC 9562, version 5)."""
REMEMBERED = 1000
"""Jobs that are shown, at most; older ones are forgotten once they have ended."""


class JobKind(StrEnum):
    """What a job asks for."""

    HOLD = "hold"
    DROP = "drop"


class JobState(StrEnum):
    """What has become of a job that was sent."""

    ASKED = "asked"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class SentJob:
    """A job that this node gave another one."""

    id: str
    kind: JobKind
    content_id: str
    name: str
    peer_id: str
    replication: str
    """The request it serves; empty for none."""
    state: JobState
    problem: str
    """Why it failed; empty otherwise."""
    asked_ms: int
    ended_ms: int
    """0 while it has not."""


class Jobs:
    """Sends jobs, remembers what became of them, and does the jobs that this node was given.

    Args:
        hold: called with an id, a name and a number of copies; returns when a verified copy is here, or when
            the network has that many complete holders already (0: no matter). Raises MingaError when that
            cannot be.
        drop: called with an id and a number; removes this node's copies when so many other nodes have one and
            keep it. None here is fine. Raises MingaError when they are too few.
    """

    def __init__(
        self,
        store: Store,
        outbox: Outbox,
        network: str,
        self_id: str,
        hold: Callable[[str, str, int], None],
        drop: Callable[[str, int], None],
    ) -> None:
        self._store, self._outbox, self._network, self._self_id = store, outbox, network, self_id
        self._hold, self._drop = hold, drop
        self.on_ended: list[Callable[[], None]] = []
        """Called when a job of this node was done or given up, and that is committed."""
        store.migrate("jobs", STEPS)

    def send_hold(
        self, peer_id: str, content_id: str, name: str, *, copies: int, replication: str = ""
    ) -> str:
        """Asks a node for a copy, unless there are ``copies`` when it comes to that; the job's id."""
        more: dict[str, str | int] = {"name": name, "copies": copies}
        return self._send(peer_id, JobKind.HOLD, content_id, name, replication, more)

    def send_drop(self, peer_id: str, content_id: str, name: str, *, keep: int) -> str:
        """Asks a node to drop its copies, if ``keep`` others have one; the job's id."""
        return self._send(peer_id, JobKind.DROP, content_id, name, "", {"keep": keep})

    def _send(
        self,
        peer_id: str,
        kind: JobKind,
        content: str,
        name: str,
        replication: str,
        more: Mapping[str, str | int],
    ) -> str:
        job = uuid.uuid4().hex
        data: dict[str, str | int] = {"peer": self._self_id, "job": job, "id": content, **more}
        event = make(self._network, f"job.{kind}", content, job, **data)
        with self._store.write() as db:
            db.execute(
                "INSERT INTO sent_jobs VALUES (?, ?, ?, ?, ?, ?, 'asked', '', ?, 0)",
                (job, kind, content, name, peer_id, replication, _now()),
            )
            db.execute(
                "DELETE FROM sent_jobs WHERE state != 'asked' AND asked <= "
                "(SELECT asked FROM sent_jobs ORDER BY asked DESC LIMIT 1 OFFSET ?)",
                (REMEMBERED,),
            )
            self._outbox.add([event], target=peer_id)
        return job

    def get(self, id_: str) -> SentJob:
        """A job that this node sent. Raises NotFound."""
        found = self._select("WHERE id = ?", id_)
        if not found:
            raise NotFound(f"there is no job {id_}")
        return found[0]

    def list(self) -> tuple[SentJob, ...]:
        """Those that this node sent, the newest first."""
        return self._select("ORDER BY asked DESC LIMIT ?", REMEMBERED)

    def of(self, replication: str) -> tuple[SentJob, ...]:
        """Those that serve a request for copies."""
        return self._select("WHERE replication = ? ORDER BY asked", replication)

    def _select(self, where: str, value: str | int) -> tuple[SentJob, ...]:
        rows = self._store.rows(f"SELECT * FROM sent_jobs {where}", (value,))
        return tuple(
            SentJob(
                id_, JobKind(kind), content, name, peer, replication, JobState(state), problem, asked, ended
            )
            for id_, kind, content, name, peer, replication, state, problem, asked, ended in rows
        )

    # What others tell of them.

    def done(self, event: Event) -> None:
        self._ended(event, JobState.DONE)

    def failed(self, event: Event) -> None:
        self._ended(event, JobState.FAILED)

    def _ended(self, event: Event, state: JobState) -> None:
        with self._store.write() as db:
            changed = db.execute(
                "UPDATE sent_jobs SET state = ?, problem = ?, ended = ? WHERE id = ? AND state = 'asked'",
                (state, event.text("error"), _now(), event.text("job")),
            ).rowcount
            if changed:
                for listener in self.on_ended:
                    self._store.after_commit(listener)

    # This node's own work.

    def work(self, job: Event) -> None:
        """Does a job; doing it twice is doing it once.

        Raises:
            BadRequest: it is no job.
            MingaError: it cannot be done; ``permanent`` says whether it never can.
        """
        if job.routing_key == "job.hold":
            self._hold(job.text("id"), job.text("name"), int(job.data.get("copies", 0)))
        elif job.routing_key == "job.drop":
            self._drop(job.text("id"), int(job.data.get("keep", 1)))
        else:
            raise BadRequest(f"{job.routing_key} is no job")
        self._tell("job.done", job)

    def gave_up(self, job: Event, why: str) -> None:
        self._tell("job.failed", job, error=why)

    def _tell(self, key: str, job: Event, **more: str) -> None:
        # Always the same for the same job, and never longer than others take.
        told = (
            job.text("job")
            if len(job.text("job")) <= MOST_ID_CHARACTERS
            else uuid.uuid5(NAMES, job.text("job")).hex
        )
        event = make(
            self._network, key, job.text("id"), f"{told}.{key}",
            peer=self._self_id, job=job.text("job"), id=job.text("id"), **more,
        )  # fmt: skip
        self._outbox.add([event])
        if job.text("peer") == self._self_id:
            # A job for itself: its own events do not come back to it.
            self._ended(event, JobState.DONE if key == "job.done" else JobState.FAILED)


def _now() -> int:
    return time.time_ns() // 1_000_000
