"""The entries of a node's log and the pieces of it that nodes hand to each other."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from operator import lt
from typing import NamedTuple

from minga_node.errors import PeerMisbehaved
from minga_node.index.signing import SIGNED
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


# Lines of names as most are: no part that begins with a dot, nothing but characters that are surely allowed.
_PART = r"[\w ,;+@=()\[\]~!#$%&'-][\w .,;+@=()\[\]~!#$%&'-]{0,62}"
_PLAIN = re.compile(rf"(?>(?:{_PART}/){{0,3}}{_PART}\n)*+", re.ASCII)
_MEDIA_TYPE = 255


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
    if len(delta.signature) not in {0, SIGNED}:
        raise PeerMisbehaved(f"{who}: a signature of {len(delta.signature)} bytes")
    if len(delta.entries) > MOST_ENTRIES:
        raise PeerMisbehaved(f"{who}: {len(delta.entries)} entries at once, at most {MOST_ENTRIES}")
    if delta.entries:
        _check_entries(delta, who)


def _check_entries(delta: Delta, who: str) -> None:
    """By columns: a catch-up has a million of them."""
    versions, names, contents, sizes, media_types, modified, _ = zip(*delta.entries, strict=True)
    if not (
        delta.from_version < versions[0]
        and versions[-1] <= delta.to_version
        and all(map(lt, versions, versions[1:]))
    ):
        raise PeerMisbehaved(f"{who}: versions out of order")
    lines = "\n".join(names) + "\n"
    # A name with a line's end in it would pass for two.
    if lines.count("\n") != len(names) or not _PLAIN.fullmatch(lines):
        for name in names:
            if not is_shareable(name):
                raise PeerMisbehaved(f"{who}: the name {name[:64]!r}")
    if (
        not {0 if content is None else len(content) for content in contents} <= {0, 32}
        or b"" in contents
        or min(sizes) < 0
        or max(sizes) > LARGEST
        or min(modified) < -LARGEST
        or max(modified) > LARGEST
        or max(map(len, set(media_types))) > _MEDIA_TYPE
    ):
        raise PeerMisbehaved(f"{who}: an entry that is none")
