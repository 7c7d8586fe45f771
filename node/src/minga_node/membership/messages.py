"""What nodes say to each other about members and logs, and the calls that carry it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from minga_node.index.log import Delta
from minga_node.membership.scuttlebutt import Digest
from minga_node.model import Peer


@dataclass(frozen=True, slots=True)
class Reconcile:
    """The first half of a round."""

    network: str
    sender: Peer
    digests: tuple[Digest, ...]
    max_bytes: int


@dataclass(frozen=True, slots=True)
class Reconciled:
    """Its answer."""

    id: str
    digests: tuple[Digest, ...] = ()
    deltas: tuple[Delta, ...] = ()
    wanted: tuple[Digest, ...] = ()
    more: bool = False
    peers: tuple[Peer, ...] = ()


@dataclass(frozen=True, slots=True)
class Fetch:
    """Asks for all that the sender lacks."""

    network: str
    sender: Peer
    digests: tuple[Digest, ...]


@dataclass(frozen=True, slots=True)
class Push:
    """The second half of a round, or fresh news."""

    network: str
    sender: Peer
    digests: tuple[Digest, ...] = ()
    deltas: tuple[Delta, ...] = ()
    peers: tuple[Peer, ...] = ()


class Stream(Protocol):
    """All that somebody else has and this node lacks, in parts. Iterating raises what calls raise."""

    def __iter__(self) -> Iterator[tuple[Delta, ...]]: ...

    def cancel(self) -> None:
        """Ends it, from whatever thread."""


class GossipCalls(Protocol):
    """Calls to other nodes. All raise PeerUnreachable, PeerMisbehaved, Conflict or Busy."""

    def join(self, target: str, network: str, peer: Peer) -> tuple[Peer, tuple[Peer, ...]]:
        """Who answers, and everybody it knows to be alive."""

    def leave(self, target: str, id_: str, epoch: int, heartbeat: int) -> None: ...

    def reconcile(self, target: str, message: Reconcile) -> Reconciled: ...

    def push(self, target: str, message: Push) -> None: ...

    def fetch(self, target: str, message: Fetch) -> Stream: ...

    def forget(self, target: str) -> None:
        """Closes the connection."""
