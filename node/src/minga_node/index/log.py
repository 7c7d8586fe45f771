"""The entries of a node's log and the pieces of it that nodes hand to each other."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from minga_node.errors import PeerMisbehaved
from minga_node.names import is_shareable

MOST_ENTRIES = 50_000
"""Entries in one delta, at most."""
LARGEST = 2**63 - 1
"""Largest integer that SQLite keeps."""


class Entry(NamedTuple):
    """The newest word of a log about one name. A plain tuple, because there are millions."""

    version: int
    name: str
    content: bytes | None
    """32 bytes, the id; None for a tombstone: the name is gone."""
    size: int = 0
    media_type: str = ""
    modified_ms: int = 0
    complete: bool = True

    @property
    def removed(self) -> bool:
        return self.content is None


@dataclass(frozen=True, slots=True)
class LogState:
    """How much of one log is known."""

    epoch: int
    version: int
    """Everything up to here is known."""
    compacted: int = 0
    """Tombstones up to here are gone."""


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


# Most names: no part that begins with a dot, nothing but characters that are surely allowed.
_PLAIN = re.compile(r"(?:[\w ,;+@=()\[\]~!#$%&'-][\w .,;+@=()\[\]~!#$%&'-]{0,62}/){0,3}"
                    r"[\w ,;+@=()\[\]~!#$%&'-][\w .,;+@=()\[\]~!#$%&'-]{0,62}", re.ASCII)  # fmt: skip


def check_delta(delta: Delta) -> None:
    """Refuses what an honest node never sends.

    Raises:
        PeerMisbehaved: says what is wrong.
    """
    who = f"a delta of {delta.peer_id[:128]!r}"
    if not delta.peer_id or len(delta.peer_id) > 128:
        raise PeerMisbehaved(f"{who}: not a peer's id")
    if not 0 < delta.epoch <= LARGEST:
        raise PeerMisbehaved(f"{who}: epoch {delta.epoch}")
    if not 0 <= delta.from_version <= delta.to_version <= LARGEST:
        raise PeerMisbehaved(f"{who}: versions {delta.from_version} to {delta.to_version}")
    if delta.reset and delta.from_version:
        raise PeerMisbehaved(f"{who}: a reset that begins at {delta.from_version}")
    if delta.compacted > LARGEST:
        raise PeerMisbehaved(f"{who}: compacted to {delta.compacted}")
    if len(delta.entries) > MOST_ENTRIES:
        raise PeerMisbehaved(f"{who}: {len(delta.entries)} entries at once, at most {MOST_ENTRIES}")
    last = delta.from_version
    plain = _PLAIN.fullmatch
    for version, name, content, size, media_type, modified_ms, _ in delta.entries:
        if not last < version <= delta.to_version:
            raise PeerMisbehaved(f"{who}: version {version} out of order")
        last = version
        if not plain(name) and not is_shareable(name):
            raise PeerMisbehaved(f"{who}: the name {name[:64]!r}")
        if content is not None and (
            len(content) != 32
            or not 0 <= size <= LARGEST
            or len(media_type) > 255
            or not -LARGEST <= modified_ms <= LARGEST
        ):
            raise PeerMisbehaved(f"{who}: the entry of version {version} is not one")
