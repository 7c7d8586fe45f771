"""Scuttlebutt reconciliation: who lacks what, from digests alone. Pure.

Van Renesse, Dumitriu, Gough, Thomas: "Efficient Reconciliation and Flow Control for Anti-Entropy
Protocols" (2008).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Digest:
    """What a node knows of another, and of its log."""

    id: str
    epoch: int
    heartbeat: int
    version: int
    """Everything of the log up to here is held."""
    compacted: int = 0
    """Tombstones of the log up to here are gone."""
    started: int = 0
    """First heartbeat of the process that the known addresses belong to."""
    left: bool = False
    unproven: bool = False
    """The log is held without its writer's signature: it cannot be given on, and the signature is wanted."""
    goodbye: bytes = b""
    """The node's signature of its goodbye, where it left."""

    @property
    def address(self) -> tuple[int, int]:
        """Orders digests of one node: the larger one knows its later addresses. Empty where it knows none."""
        return (self.epoch, self.started) if self.started else (0, 0)

    @property
    def age(self) -> tuple[int, int, bool]:
        """Orders digests of one node: the larger one is the newer word about its life."""
        return (self.epoch, self.heartbeat, self.left)


@dataclass(frozen=True, slots=True)
class Need:
    """Somebody lacks a log from a version on."""

    id: str
    from_version: int
    reset: bool = False


@dataclass(frozen=True, slots=True)
class Comparison:
    """What follows from two nodes' digests, seen from one of them (we, they)."""

    newer: tuple[Digest, ...]
    """Ours, where our word is newer or they have none."""
    needs: tuple[Need, ...]
    """What they lack of logs."""
    wanted: tuple[Digest, ...]
    """What we have of the logs of which they have more; version 0 for none."""
    addresses: tuple[str, ...]
    """Nodes whose addresses they lack."""


def need(ours: Digest, theirs: Digest | None) -> Need | None:
    """What a reader with ``theirs`` lacks that we have."""
    if ours.version == 0 or ours.unproven:
        return None
    if theirs is None or theirs.epoch < ours.epoch:
        return Need(ours.id, 0)
    if theirs.epoch > ours.epoch:
        return None
    if theirs.unproven and theirs.version > ours.version:
        # More than its writer may ever have written.
        return Need(ours.id, 0, reset=True)
    if theirs.unproven and theirs.version == ours.version:
        return Need(ours.id, ours.version)
    if theirs.version >= ours.version:
        return None
    if theirs.version < ours.compacted and theirs.compacted < ours.compacted:
        # It may hold names whose tombstones are gone.
        return Need(ours.id, 0, reset=True)
    return Need(ours.id, theirs.version)


def compare(ours: Mapping[str, Digest], theirs: Mapping[str, Digest]) -> Comparison:
    newer: list[Digest] = []
    needs: list[Need] = []
    wanted: list[Digest] = []
    addresses: list[str] = []
    for id_, mine in ours.items():
        other = theirs.get(id_)
        if other is None or mine.age > other.age:
            newer.append(mine)
        if mine.address > (other.address if other is not None else (0, 0)):
            addresses.append(id_)
        lacking = need(mine, other)
        if lacking is not None:
            needs.append(lacking)
        elif other is not None and need(other, mine) is not None:
            wanted.append(mine)
    for id_, other in theirs.items():
        if id_ not in ours and (other.version or other.started):
            wanted.append(Digest(id_, 0, 0, 0))
        elif id_ in ours and other.address > ours[id_].address and need(other, ours[id_]) is None:
            # Nothing of the log, but the address.
            wanted.append(ours[id_])
    return Comparison(tuple(newer), tuple(needs), tuple(wanted), tuple(addresses))
