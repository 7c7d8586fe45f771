"""The nodes of a simulated swarm, and what is on its way between them."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from minga_node.swarm import PieceFetch, Swarm
from minga_node.swarm.neighbour_choice import Hunger
from minga_node.uploads.admission import Admission
from minga_node.uploads.fair_queue import FairQueue
from minga_node.uploads.server import SLOTS


@dataclass(slots=True, eq=False)
class Flow:
    """One answer under way."""

    giver: Node
    taker: Node
    ask: PieceFetch
    pieces: range
    unsent: int
    unarrived: int
    flying: int = 0


@dataclass(slots=True, eq=False)
class Node:
    """A peer: its links, its upload queue, its swarm."""

    name: str
    up: float
    """Seconds to send a quarter of a piece."""
    down: float
    swarm: Swarm
    started: float = 0.0
    finished: float | None = None
    alive: bool = True
    sent: list[int] = field(default_factory=list)
    waiting: FairQueue[tuple[Node, PieceFetch]] = field(default_factory=FairQueue)
    admission: Admission = field(default_factory=lambda: Admission(SLOTS))
    flows: deque[Flow] = field(default_factory=deque)
    sending: bool = False
    arrivals: deque[Flow] = field(default_factory=deque)
    receiving: bool = False
    log: list[int] = field(default_factory=list)
    neighbours: dict[str, Node] = field(default_factory=dict)
    told: dict[str, int] = field(default_factory=dict)
    told_at: dict[str, float] = field(default_factory=dict)
    flushing: set[str] = field(default_factory=set)
    hunger: Hunger = field(default_factory=Hunger)
    look_at: float = 0.0
    uploaded: int = 0
    received: int = 0
    due: float = -1.0
