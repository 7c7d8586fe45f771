"""What a node remembers of another one, and what it learns by hearing of it. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from minga_node.model import Peer, PeerState

BROKER = ""
"""Who tells of nodes, where it is no node that does."""
GONE = frozenset({PeerState.DEAD, PeerState.LEFT})


@dataclass(frozen=True, slots=True)
class ViewRoom:
    """Whether there is room for one more node, and who made it."""

    granted: bool
    gone: str | None = None


@dataclass(slots=True)
class KnownMember:
    """One other node."""

    epoch: int
    heartbeat: int
    heard: float
    """When its heartbeat last advanced here, seconds of the clock that is handed in."""
    started: int = 0
    left: bool = False
    goodbye: bytes = b""
    """The node's signature of its goodbye."""
    peer: Peer | None = None
    """Its addresses; None while nobody has told them."""
    version: int = 0
    """The newest version of its log that anybody spoke of."""
    proven: bool = False
    """It has answered this node's own call."""
    by: str = ""
    """Who told of it first; itself, if nobody else did."""
    changed: int = 0
    """The place in the history of the view where something of this node changed last."""
    resting: bool = False
    """It is gone and all that is known of its log is here: nobody need be told of it again."""


@dataclass(frozen=True, slots=True)
class MemberNews:
    """What became known by merging digests."""

    renewed: tuple[tuple[str, int], ...] = ()
    """Nodes that began a new epoch, and which."""
    own_epoch: int | None = None
    """Others know more of this node's log than itself: its state was lost or is an old copy. It must begin an
    epoch at least this large."""
