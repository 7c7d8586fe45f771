"""What a node thinks of the others: heartbeats, suspicion, death, goodbyes. Pure: time is handed in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from minga_node.index.log import LogState
from minga_node.membership.scuttlebutt import Digest
from minga_node.model import Peer, PeerState, PeerStatus


@dataclass(slots=True)
class Known:
    """One other node."""

    epoch: int
    heartbeat: int
    heard: float
    """When its heartbeat last advanced here, seconds of the clock that is handed in."""
    started: int = 0
    left: bool = False
    peer: Peer | None = None
    """Its addresses; None while nobody has told them."""
    version: int = 0
    """The newest version of its log that anybody spoke of."""


@dataclass(frozen=True, slots=True)
class News:
    """What became known by merging digests."""

    renewed: tuple[tuple[str, int], ...] = ()
    """Nodes that began a new epoch, and which."""
    own_epoch: int | None = None
    """Others know more of this node's log than itself: its state was lost or is an old copy. It must begin an
    epoch at least this large."""


@dataclass(slots=True)
class View:
    """All other nodes.

    Args:
        self_id: this node.
        suspect: seconds without a heartbeat until a node is suspected.
        dead: seconds until it counts as dead.
    """

    self_id: str
    suspect: float
    dead: float
    known: dict[str, Known] = field(default_factory=dict)
    forgotten: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Epoch and last heartbeat of nodes that were dropped: an echo of them is no news."""
    heartbeat: int = 0
    started: int = 0
    left: bool = False

    def beat(self, now_ms: int) -> None:
        """This node lives. Heartbeats rise through restarts, because they follow the wall clock."""
        self.heartbeat = max(self.heartbeat + 1, now_ms)
        self.started = self.started or self.heartbeat

    def digests(self, logs: Mapping[str, LogState]) -> dict[str, Digest]:
        own = logs[self.self_id]
        found = {
            self.self_id: Digest(
                self.self_id, own.epoch, self.heartbeat, own.version, own.compacted, self.started, self.left
            )
        }
        for id_, known in self.known.items():
            state = logs.get(id_)
            held = state if state is not None and state.epoch >= known.epoch else LogState(known.epoch, 0)
            peer = known.peer
            current = peer is not None and (peer.epoch, peer.started) >= (held.epoch, known.started)
            found[id_] = Digest(
                id_,
                held.epoch,
                known.heartbeat,
                held.version,
                held.compacted,
                known.started if current else 0,
                known.left,
                held.unproven,
            )
        return found

    def merge(self, digests: Iterable[Digest], own: LogState, now: float) -> News:
        """Takes another node's word, where it is newer."""
        renewed: list[tuple[str, int]] = []
        own_epoch = None
        for digest in digests:
            if digest.id == self.self_id:
                if digest.epoch > own.epoch or (digest.epoch == own.epoch and digest.version > own.version):
                    own_epoch = max(digest.epoch + 1, own_epoch or 0)
                self.heartbeat = max(self.heartbeat, digest.heartbeat + (not self.left))
                continue
            known = self.known.get(digest.id)
            if known is None:
                if (digest.epoch, digest.heartbeat) <= self.forgotten.get(digest.id, (0, 0)):
                    continue
                self.known[digest.id] = Known(
                    digest.epoch, digest.heartbeat, now, 0, digest.left, version=digest.version
                )
                renewed.append((digest.id, digest.epoch))
                continue
            if digest.epoch == known.epoch:
                known.version = max(known.version, digest.version)
            elif digest.epoch > known.epoch:
                known.version = digest.version
            if digest.age <= (known.epoch, known.heartbeat, known.left):
                continue
            if digest.epoch > known.epoch:
                renewed.append((digest.id, digest.epoch))
            if (digest.epoch, digest.heartbeat) > (known.epoch, known.heartbeat):
                known.heard = now
            known.epoch, known.heartbeat, known.left = digest.epoch, digest.heartbeat, digest.left
        return News(tuple(renewed), own_epoch)

    def learn(self, peer: Peer, now: float, *, alive: bool = False) -> bool:
        """Takes a node's addresses, where they are newer; ``alive`` says that it spoke itself just now."""
        if peer.id == self.self_id:
            return False
        known = self.known.get(peer.id)
        if known is None:
            if not alive and peer.id in self.forgotten:
                return False
            known = self.known[peer.id] = Known(peer.epoch, peer.started, now)
        # What was told of its epoch before its first signed record was nobody's word that counts.
        first = bool(peer.key) and (known.peer is None or not known.peer.key)
        if peer.epoch < known.epoch and not first:
            return False
        if alive:
            known.heard = now
            if known.left and (peer.epoch, peer.started) > (known.epoch, known.heartbeat):
                known.left = False
        if (
            known.peer is not None
            and not first
            and (peer.epoch, peer.started) <= (known.peer.epoch, known.peer.started)
        ):
            return False
        known.peer, known.started = peer, peer.started if first else max(peer.started, known.started)
        if peer.epoch > known.epoch or (first and peer.epoch < known.epoch):
            known.epoch, known.heartbeat = peer.epoch, max(peer.started, 1)
        return True

    def goodbye(self, id_: str, epoch: int, heartbeat: int) -> bool:
        """A node says that it leaves; whether that is news."""
        known = self.known.get(id_)
        if known is None or (epoch, heartbeat) < (known.epoch, known.heartbeat) or known.left:
            return False
        if epoch > known.epoch and known.peer is not None and known.peer.key:
            # It signs its epochs, and it has signed none of this one.
            return False
        known.epoch, known.heartbeat, known.left = epoch, heartbeat, True
        return True

    def state(self, id_: str, now: float) -> PeerState | None:
        known = self.known.get(id_)
        return self._state(known, now) if known else None

    def _state(self, known: Known, now: float) -> PeerState:
        if known.left:
            return PeerState.LEFT
        silent = now - known.heard
        if silent >= self.dead:
            return PeerState.DEAD
        return PeerState.SUSPECT if silent >= self.suspect else PeerState.ALIVE

    def statuses(self, now: float) -> tuple[PeerStatus, ...]:
        """All whose addresses are known, by id."""
        return tuple(
            PeerStatus(known.peer, self._state(known, now), max(0.0, now - known.heard), known.version)
            for _, known in sorted(self.known.items())
            if known.peer is not None
        )

    def in_states(self, now: float, *states: PeerState) -> list[Peer]:
        return [
            known.peer
            for known in self.known.values()
            if known.peer is not None and self._state(known, now) in states
        ]

    def replace(self, peer: Peer, now: float) -> None:
        """Another node has the name now."""
        self.known[peer.id] = Known(peer.epoch, peer.started, now, peer.started, peer=peer)

    def drop(self, id_: str) -> None:
        """Forgets a node until it shows a new heartbeat."""
        known = self.known.pop(id_, None)
        if known is not None:
            self.forgotten[id_] = (known.epoch, known.heartbeat)
