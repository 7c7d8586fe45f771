"""What nodes say to each other about members and logs, and the calls that carry it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from minga_node.index.log import Delta
from minga_node.membership.goodbyes import Goodbye
from minga_node.membership.scuttlebutt import Digest
from minga_node.model import Peer


@dataclass(frozen=True, slots=True)
class Reconcile:
    """The first half of a round."""

    network: str
    sender: Peer
    digests: tuple[Digest, ...]
    max_bytes: int
    start: int = 0
    since: int = 0
    """What the sender has heard of the receiver's history: who rests since then is left out. 0: nobody is."""
    network_id: str = ""
    caller: str = ""
    """From where it came, as the callee sees it."""


@dataclass(frozen=True, slots=True)
class Reconciled:
    """Its answer."""

    id: str
    digests: tuple[Digest, ...] = ()
    deltas: tuple[Delta, ...] = ()
    wanted: tuple[Digest, ...] = ()
    more: bool = False
    peers: tuple[Peer, ...] = ()
    start: int = 0
    sequence: int = 0
    """What to name the next time; 0 where all digests are to be told then."""
    network_id: str = ""


@dataclass(frozen=True, slots=True)
class Fetch:
    """Asks for all that the sender lacks."""

    network: str
    sender: Peer
    digests: tuple[Digest, ...]
    network_id: str = ""
    caller: str = ""
    """From where it came, as the callee sees it."""


@dataclass(frozen=True, slots=True)
class Push:
    """The second half of a round, or fresh news."""

    network: str
    sender: Peer
    digests: tuple[Digest, ...] = ()
    deltas: tuple[Delta, ...] = ()
    peers: tuple[Peer, ...] = ()
    network_id: str = ""
    caller: str = ""
    """From where it came, as the callee sees it."""


@dataclass(frozen=True, slots=True)
class Joined:
    """What a newcomer is told."""

    self: Peer
    peers: tuple[Peer, ...] = ()
    """Everybody else who is alive."""
    network_id: str = ""


class DeltaStream(Protocol):
    """All that somebody else has and this node lacks, in parts. Iterating raises what calls raise."""

    def __iter__(self) -> Iterator[tuple[Delta, ...]]: ...

    def cancel(self) -> None:
        """Ends it, from whatever thread."""


class GossipCalls(Protocol):
    """Calls to other nodes. All raise PeerUnreachable, PeerMisbehaved, Conflict or Busy."""

    def join(self, target: str, network: str, peer: Peer, network_id: str = "") -> Joined:
        """Who answers, and everybody it knows to be alive."""

    def ping(self, target: str, seconds: float) -> None:
        """Returns if somebody answers there."""

    def probe(self, target: str, network: str, id_: str) -> str:
        """Asks a node whether another one answers it; why not, or nothing."""

    def leave(self, target: str, goodbye: Goodbye) -> None: ...

    def reconcile(self, target: str, message: Reconcile) -> Reconciled: ...

    def push(self, target: str, message: Push) -> None: ...

    def fetch(self, target: str, message: Fetch) -> DeltaStream: ...

    def forget(self, target: str) -> None:
        """Closes the connection."""
