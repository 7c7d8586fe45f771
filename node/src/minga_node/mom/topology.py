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


UNUSABLE = ("rejected", "delivery_limit")
"""Reasons for which RabbitMQ takes a message out of a queue and that a person should look into."""


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

    @property
    def spoilt(self) -> str:
        """Headers exchange between events and dead letters: lets by what could not be used.

        RabbitMQ dead-letters what overflows, too. A node that is away for long would fill the dead letters
        with events that were alright, until nothing else is in them.
        """
        return f"minga.{self.network}.spoilt"

    def spoilt_bindings(self) -> tuple[dict[str, Any], ...]:
        """Arguments of the bindings from it to the dead letters (RabbitMQ 3.10)."""
        return tuple({"x-match": "any-with-x", "x-first-death-reason": reason} for reason in UNUSABLE)

    def dead_queue(self) -> Queue:
        """Dead letters: the oldest go when there are too many.

        Classic whatever the broker's default is: looking at them counts as a delivery, and a quorum queue of
        RabbitMQ 4 drops what was delivered 20 times.
        """
        return Queue(
            self.dead, {"x-queue-type": "classic", "x-max-length": 10_000, "x-message-ttl": 30 * DAY_MS}
        )

    def event_queue(self, peer_id: str) -> Queue:
        """A node's events: waits a week for it. What overflows is repaired by gossip.

        Of the broker's default type: a quorum queue where members may go, a classic one, which is several
        times as fast, where there is one.
        """
        return Queue(
            f"minga.{self.network}.events.{peer_id}",
            {
                "x-expires": 7 * DAY_MS,
                "x-max-length": 100_000,
                "x-dead-letter-exchange": self.spoilt,
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
