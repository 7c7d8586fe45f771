"""What the status is made of: what there is, and what is thought of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from minga_operator.resources.common import Object


@dataclass(frozen=True)
class Said:
    """What a node says of its connection to the broker."""

    connected: bool
    problem: str = ""
    seconds: float = 0.0
    """How long it has been saying so."""


@dataclass(frozen=True)
class Observed:
    """What there is."""

    seeds: Object | None = None
    peers: Object | None = None
    broker: Object | None = None
    pods: Sequence[Object] = ()
    files: int | None = None
    bytes: int | None = None
    members: int | None = None
    """Nodes that a node knows to be alive, itself included."""
    service: Object | None = None
    """The Service for clients."""
    said: Mapping[str, Said] = field(default_factory=dict)
    """What nodes that are ready say of the broker, by their pods' names."""
    refused: Mapping[str, str] = field(default_factory=dict)
    """By component, why its workload gets no pods."""
    unmounted: Mapping[str, str] = field(default_factory=dict)
    """By pod, why its volumes are not there."""
    evicted: Sequence[str] = ()
    """Pods that the kubelet evicted of late, and why."""
    pending: Sequence[str] = ()
    """What would be changed if the network were not paused."""
    draining: Mapping[str, str] = field(default_factory=dict)
    """Seeds and peers that are draining, and since when (RFC 3339)."""
    drain_notes: Mapping[str, str] = field(default_factory=dict)
    """What each of them is still needed for."""
    last_drain: Mapping[str, str] = field(default_factory=dict)
    """The last one that ended."""


@dataclass(frozen=True)
class Verdict:
    """One condition without its times."""

    type: str
    status: bool | None
    """None: unknown."""
    reason: str
    message: str
