"""How much of a log is known, and the pieces of it that nodes hand to each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from minga_node.errors import PeerMisbehaved
from minga_node.index.log.entries import LARGEST_INTEGER, Entries, Entry
from minga_node.index.log.signing import SIGNED

MOST_ENTRIES = 50_000
"""Entries in one delta, at most."""


@dataclass(frozen=True, slots=True)
class LogState:
    """How much of one log is known."""

    epoch: int
    version: int
    """Everything up to here is known."""
    compacted: int = 0
    """Tombstones up to here are gone."""
    signature: bytes = b""
    """The writer's key and its signature of the log at this version, if it is known."""
    unproven: bool = False
    """Its writer signs, but this is not signed: it may be false, and cannot be given on."""


@dataclass(frozen=True, slots=True)
class Delta:
    """What counts of one log's versions ``(from_version, to_version]``, in order of versions."""

    peer_id: str
    epoch: int
    from_version: int
    to_version: int
    reset: bool
    """Forget what is known of the log first."""
    compacted: int
    entries: Sequence[Entry]
    signature: bytes = b""
    """The writer's key and its signature of the log at ``to_version``; empty in the middle of a log that
    comes in parts, and when its writer has no key."""


def check_delta(delta: Delta) -> None:
    """Refuses what an honest node never sends.

    Raises:
        PeerMisbehaved: says what is wrong.
    """
    who = f"a delta of {delta.peer_id[:128]!r}"
    if not delta.peer_id or len(delta.peer_id) > 128:
        raise PeerMisbehaved(f"{who}: not a peer's id")
    if not 0 < delta.epoch <= LARGEST_INTEGER:
        raise PeerMisbehaved(f"{who}: epoch {delta.epoch}")
    if not 0 <= delta.from_version <= delta.to_version <= LARGEST_INTEGER:
        raise PeerMisbehaved(f"{who}: versions {delta.from_version} to {delta.to_version}")
    if delta.reset and delta.from_version:
        raise PeerMisbehaved(f"{who}: a reset that begins at {delta.from_version}")
    if delta.compacted > LARGEST_INTEGER:
        raise PeerMisbehaved(f"{who}: compacted to {delta.compacted}")
    if len(delta.signature) not in {0, SIGNED}:
        raise PeerMisbehaved(f"{who}: a signature of {len(delta.signature)} bytes")
    if len(delta.entries) > MOST_ENTRIES:
        raise PeerMisbehaved(f"{who}: {len(delta.entries)} entries at once, at most {MOST_ENTRIES}")
    if not delta.entries:
        return
    entries = Entries.of(delta.entries)
    if not (delta.from_version < entries.versions[0] and entries.versions[-1] <= delta.to_version):
        raise PeerMisbehaved(f"{who}: versions out of order")
    if entries.problem:
        raise PeerMisbehaved(f"{who}: {entries.problem}")


def following(state: LogState, delta: Delta, end: Delta, *, unproven: bool) -> LogState | None:
    """The state that a delta goes on from: the one that is known, an empty one where it begins anew, or None
    where it does not follow. What is ``unproven`` gives way to what is signed, even if that is older."""
    if delta.epoch < state.epoch:
        return None
    if delta.epoch > state.epoch or delta.reset:
        needless = state.version >= delta.compacted or state.compacted >= delta.compacted
        older = bool(end.signature) and end.to_version <= state.version
        if delta.from_version > 0:
            return None
        if delta.epoch == state.epoch and not unproven and (needless or older):
            return None
        return LogState(delta.epoch, 0)
    if unproven and delta.signature and delta.from_version <= state.version == delta.to_version:
        return state
    if delta.from_version > state.version or delta.to_version <= state.version:
        return None
    if 0 < state.version < delta.compacted and state.compacted < delta.compacted:
        # Its sender has dropped tombstones of names that are still here: only all of it will do.
        return None
    return state
