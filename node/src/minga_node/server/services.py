"""The parts of the node that REST reaches, handed in by the app."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from threading import Event
from typing import Protocol

from minga_node.capacity import Capacity
from minga_node.config import Config
from minga_node.downloads import Downloads
from minga_node.drain import Drain
from minga_node.events.feed import Feed
from minga_node.index import Index
from minga_node.library import Library
from minga_node.library.digests import Digests
from minga_node.membership import Membership
from minga_node.model import Flow, Letter, Peer
from minga_node.requests import Drops, Replications, SentJob, Wants
from minga_node.tokens import TokenDirectory


class Messages(Protocol):
    """What REST asks of jobs and of the broker."""

    @property
    def drops(self) -> Drops: ...
    def sent_jobs(self) -> tuple[SentJob, ...]: ...
    def sent_job(self, id_: str) -> SentJob: ...
    def dead_letters(self, limit: int) -> Sequence[Letter]: ...


@dataclass(frozen=True)
class Services:
    """Everything that REST may use of a node."""

    config: Config
    capacity: Capacity
    """How much this node may keep."""
    self_peer: Callable[[], Peer]
    library: Library
    digests: Digests
    index: Index
    membership: Membership
    downloads: Downloads
    wants: Wants
    replications: Replications
    messaging: Messages
    drain: Drain
    feed: Feed
    broker_connected: Callable[[], bool | None]
    """``None`` when there is no broker to connect to."""
    broker_problem: Callable[[], str]
    """What is wrong with it; empty when nothing is."""
    flows: Callable[[], Sequence[Flow]]
    """What moves in the whole network."""
    problems: Callable[[], list[str]]
    """Why the node is not ready; empty when it is."""
    dead: Callable[[], list[str]]
    """What has stopped and only a restart brings back; empty while there is nothing."""
    below_target: Callable[[], int]
    """Contents of the network with fewer complete copies than wanted."""
    tokens: TokenDirectory | None = None
    """Who may do what; ``None``: everybody everything."""
    stopping: Event = field(default_factory=Event)
