"""Exchanges and queues of a network. Every node declares what it uses; declaring again changes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

DAY_MS = 86_400_000
TRIES = 5
"""Deliveries of a job before it is a dead letter."""


@dataclass(frozen=True, slots=True)
class Queue:
    name: str
    arguments: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Topology:
    """Names and arguments for one network."""

    network: str

    @property
    def events(self) -> str:
        """Topic exchange of all events."""
        return f"minga.{self.network}.events"

    @property
    def jobs(self) -> str:
        """Direct exchange of jobs; the routing key is the node's id."""
        return f"minga.{self.network}.jobs"

    @property
    def dead(self) -> str:
        """Fanout exchange, and its queue, of what could not be used."""
        return f"minga.{self.network}.dead"

    def dead_queue(self) -> Queue:
        return Queue(self.dead, {"x-max-length": 10_000, "x-message-ttl": 30 * DAY_MS})

    def event_queue(self, peer_id: str) -> Queue:
        """A node's events: waits a week for it. What overflows is repaired by gossip."""
        return Queue(
            f"minga.{self.network}.events.{peer_id}",
            {
                "x-expires": 7 * DAY_MS,
                "x-max-length": 100_000,
                "x-dead-letter-exchange": self.dead,
            },
        )

    def job_queue(self, peer_id: str) -> Queue:
        """A node's jobs: replicated by the broker, redelivered a few times."""
        return Queue(
            f"minga.{self.network}.jobs.{peer_id}",
            {
                "x-queue-type": "quorum",
                "x-delivery-limit": TRIES,
                "x-expires": 30 * DAY_MS,
                "x-dead-letter-exchange": self.dead,
            },
        )
