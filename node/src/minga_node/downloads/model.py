"""What a download tells about itself, and what it needs of the rest of the node."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from minga_node.capacity import Capacity
from minga_node.errors import StorageFull
from minga_node.fetching import Remote
from minga_node.manifest import Manifest
from minga_node.manifests import Manifests
from minga_node.model import Peer
from minga_node.swarm import Why
from minga_node.uploads import OpenContent
from minga_node.wire import TokenBucket
from minga_node.wire.piece_set import Pieces


class DownloadState(StrEnum):
    QUEUED = "queued"
    """It waits for a slot."""
    WAITING = "waiting"
    """It waits for somebody who has the content, and takes no slot."""
    RUNNING = "running"
    COMPLETE = "complete"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        return self in {DownloadState.COMPLETE, DownloadState.FAILED, DownloadState.CANCELLED}


@dataclass(frozen=True, slots=True)
class Download:
    """One content on its way here under one name, as of now."""

    id: str
    content_id: str
    name: str
    state: DownloadState
    size: int
    """Bytes; -1 while unknown."""
    verified: int
    """Bytes of verified pieces that are here."""
    pieces: int
    verified_pieces: int
    rate: float
    """Bytes a second, lately."""
    holders: int
    """Nodes it is connected to for this content."""
    why: str
    """Why it is not faster, or waits, or has ended."""
    error: str
    """Why it failed; empty otherwise."""
    error_type: str
    """The stable type of that error (see :mod:`minga_node.errors`)."""
    created_ms: int
    """Milliseconds since 1970."""
    seconds: float
    """How long it has run, or ran, in this process."""
    sources: dict[str, int] = field(default_factory=dict)
    """Bytes by peer."""
    duplicate_bytes: int = 0
    corrupt_pieces: int = 0
    stalls: int = 0
    limit: float = 0
    """Bytes a second it may take at most; 0 where only the node's own limit holds."""


@dataclass(frozen=True, slots=True)
class Availability:
    """News of a node about a content, the first time everything, later what changed."""

    pieces: Pieces
    complete: bool = False
    others: tuple[str, ...] = ()
    """Names of other nodes in the swarm."""
    everything: bool = False


class AvailabilityFollowing(Protocol):
    """A running stream of another node's news."""

    def close(self) -> None:
        """Ends it, from any thread."""


Hear = Callable[[Availability], None]
End = Callable[[], None]


class DownloadNetwork(Protocol):
    """What downloads need of other nodes."""

    def holders(self, content_id: str) -> Sequence[tuple[Peer, bool]]:
        """Other nodes that are online and have the content, with whether all of it."""

    def listed(self, content_id: str) -> Mapping[str, bool]:
        """Ids of the other nodes that share the content by what is known here; whether each is online."""

    def contents(self, name: str) -> Collection[str]:
        """Ids of the contents that other nodes, which are online, share under a name."""

    def find(self, name: str) -> Peer | None:
        """A node by its name, if it is known here."""

    def remote(self, peer: Peer) -> Remote:
        """How its pieces are reached."""

    def manifest(self, peer: Peer, content_id: str) -> Manifest:
        """The manifest, verified.

        Raises:
            PeerUnreachable, PeerMisbehaved, VerificationFailed
            NotFound: the node says that it does not have it.
        """

    def follow(self, peer: Peer, content_id: str, count: int, hear: Hear, end: End) -> AvailabilityFollowing:
        """News of the peer about a content of ``count`` pieces, told to ``hear`` on a thread that many share.

        ``end`` is called once, when the stream has ended for whatever reason.
        """


AdoptMany = Callable[[Sequence[tuple[Path, str, Manifest]]], object]


@dataclass(frozen=True, slots=True)
class Here:
    """This node, as its downloads need it."""

    name: str
    directory: Path
    """Where partial files go."""
    network: DownloadNetwork
    manifests: Manifests
    library: Callable[[str], OpenContent | None]
    """Opens a complete content by id; None where there is none."""
    has: Callable[[str, str], bool]
    """Whether the library has this name with this content id already."""
    adopt: Callable[[Path, str, Manifest], object]
    """Moves a complete file into the library under a name and publishes it."""
    adopt_many: AdoptMany
    capacity: Capacity
    """How much may be kept."""
    limiter: TokenBucket
    """Of all downloads together."""


class Cancelled(Exception):
    """A download was told to end, or ended while somebody read from it."""


class GaveUp(Exception):
    """A download has nobody to get anything from just now, or gave its slot up to others."""


def no_room(node: str, capacity: Capacity, manifest: Manifest | None) -> StorageFull:
    """Why a download ended, in words that name the disk and what to do."""
    free = capacity.disk().free
    takes = f"it takes {mib(manifest.size)} and " if manifest is not None else ""
    return StorageFull(f"no room on the disk of {node}: {takes}{mib(free)} are free; make room and ask again")


def mib(count: int) -> str:
    return f"{count / 2**20:.1f} MiB"


def held_back_by(limiter: TokenBucket) -> str:
    """In words, which limit a download waits for; empty if none."""
    if limiter.above is not None and limiter.above.holds_back:
        return f"{Why.LIMIT}: the node's download_limit"
    if limiter.holds_back:
        return f"{Why.LIMIT}: its own"
    return ""
