"""What a node has for all its connections to the broker, one after the other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pika.channel import Channel

from minga_node.events import Outbox
from minga_node.mom.address import BrokerAddress
from minga_node.mom.dead import DeadLetters
from minga_node.mom.standing import Standing
from minga_node.mom.topology import Topology


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message that must be settled once."""

    channel: Channel
    tag: int
    body: bytes
    tries: int
    """Deliveries before this one."""


@dataclass(slots=True)
class RetryPatience:
    """How long a broker may refuse all messages before another connection is tried.

    RabbitMQ 3.10 refuses for ever on a channel that first published while a replicated queue had no leader; a
    new one mends that. Where it does not, as with a full queue of the policy ``reject-publish``, it is tried
    less and less often.
    """

    seconds: float = 5.0

    def lose(self) -> None:
        self.seconds = min(2 * self.seconds, 300.0)

    def regain(self) -> None:
        self.seconds = 5.0


@dataclass(frozen=True, slots=True)
class Own:
    """Parts of a node that outlive a connection.

    ``on_event`` and ``on_job`` are called in the connection's thread; they only hand the delivery on.
    """

    topology: Topology
    self_id: str
    outbox: Outbox
    dead: DeadLetters
    standing: Standing
    patience: RetryPatience
    moved: Callable[[BrokerAddress], bool]
    """Whether the node is to leave that broker."""
    beat: Callable[[], None]
    """Says that the connection's thread lives."""
    on_event: Callable[[Delivery], None]
    on_job: Callable[[Delivery], None]
