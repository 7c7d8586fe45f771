"""Jobs: what another node asks this one to do, told by the broker, done before it is acknowledged."""

from __future__ import annotations

import uuid
from collections.abc import Callable

from minga_node.events import Event, Outbox, make


class Jobs:
    """Sends jobs and does those of this node.

    Args:
        hold: returns when a verified copy of the id is in the library, under the name or another; raises
            MingaError when that cannot be.
        drop: removes the copies of an id; none is fine.
    """

    def __init__(
        self,
        outbox: Outbox,
        network: str,
        self_id: str,
        hold: Callable[[str, str], None],
        drop: Callable[[str], None],
    ) -> None:
        self._outbox, self._network, self._self_id = outbox, network, self_id
        self._hold, self._drop = hold, drop

    def send_hold(self, peer_id: str, content_id: str, name: str) -> str:
        """Asks a node for a copy; the job's id."""
        return self._send(peer_id, "job.hold", id=content_id, name=name)

    def send_drop(self, peer_id: str, content_id: str) -> str:
        return self._send(peer_id, "job.drop", id=content_id)

    def _send(self, peer_id: str, key: str, **data: str) -> str:
        job = uuid.uuid4().hex
        event = make(self._network, key, data["id"], job, peer=self._self_id, job=job, **data)
        self._outbox.add([event], target=peer_id)
        return job

    def work(self, job: Event) -> None:
        """Does a job; doing it twice is doing it once. Raises MingaError when it cannot be done."""
        if job.routing_key == "job.hold":
            self._hold(job.text("id"), job.text("name"))
        else:
            self._drop(job.text("id"))
        self._tell("job.done", job)

    def gave_up(self, job: Event, why: str) -> None:
        self._tell("job.failed", job, error=why)

    def _tell(self, key: str, job: Event, **more: str) -> None:
        done = make(
            self._network, key, job.text("id"), f"{job.text('job')}.{key}",
            peer=self._self_id, job=job.text("job"), id=job.text("id"), **more,
        )  # fmt: skip
        self._outbox.add([done])
