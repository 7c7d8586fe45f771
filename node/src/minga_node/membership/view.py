"""What a node thinks of the others: heartbeats, suspicion, death, goodbyes. Pure: time is handed in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from minga_node.index.log import LogState
from minga_node.membership.crowd import Crowd
from minga_node.membership.goodbyes import Goodbye
from minga_node.membership.known_members import BROKER, GONE, KnownMember, MemberNews, ViewRoom
from minga_node.membership.scuttlebutt import Digest
from minga_node.model import Peer, PeerState, PeerStatus

MOST_FORGOTTEN_NODES = 20_000
UNPROVEN_SECONDS = 3_600.0
"""How long a node is remembered that died before it ever answered here."""
BEYOND = (2**64, 2**64)
"""No node's epoch and heartbeat."""


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
    known: dict[str, KnownMember] = field(default_factory=dict)
    forgotten: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Epoch and last heartbeat of nodes that were dropped: an echo of them is no news."""
    heartbeat: int = 0
    started: int = 0
    born: int = 0
    """The first heartbeat of this process."""
    left: bool = False
    goodbye: bytes = b""
    crowd: Crowd = field(default_factory=Crowd)
    sequence: int = 0
    """Changes so far."""

    def beat(self, now_ms: int) -> None:
        """This node lives. Heartbeats rise through restarts, because they follow the wall clock."""
        self.heartbeat = max(self.heartbeat + 1, now_ms)
        self.started = self.started or self.heartbeat
        self.born = self.born or self.heartbeat

    def restart(self, started: int) -> None:
        """Its addresses of now count, whatever was told before."""
        self.heartbeat = self.started = max(self.heartbeat + 1, started)

    def merge(self, digests: Iterable[Digest], own: LogState, now: float) -> MemberNews:
        """Takes another node's word, where it is newer, of nodes whose records are here."""
        renewed: list[tuple[str, int]] = []
        own_epoch = None
        for digest in digests:
            if digest.id == self.self_id:
                if digest.epoch > own.epoch or (digest.epoch == own.epoch and digest.version > own.version):
                    own_epoch = max(digest.epoch + 1, own_epoch or 0)
                self.heartbeat = max(self.heartbeat, digest.heartbeat + (not self.left))
                if digest.epoch == own.epoch and digest.started > self.started:
                    # Its clock was ahead when it began before: the addresses of now count all the same.
                    self.restart(digest.started + 1)
                continue
            known = self.known.get(digest.id)
            if known is None:
                if (digest.epoch, digest.heartbeat) > self.forgotten.get(digest.id, BEYOND):
                    # No echo: it lives again, and its record is welcome.
                    del self.forgotten[digest.id]
                continue
            version = known.version
            if digest.epoch == known.epoch:
                known.version = max(known.version, digest.version)
            elif digest.epoch > known.epoch:
                known.version = digest.version
            if known.version != version:
                self._changed(known)
            if digest.age <= (known.epoch, known.heartbeat, known.left):
                continue
            if digest.epoch > known.epoch:
                renewed.append((digest.id, digest.epoch))
            if (digest.epoch, digest.heartbeat) > (known.epoch, known.heartbeat):
                known.heard = now
            known.epoch, known.heartbeat = digest.epoch, digest.heartbeat
            known.left, known.goodbye = digest.left, digest.goodbye
            self._changed(known)
        return MemberNews(tuple(renewed), own_epoch)

    def make_room(self, id_: str, by: str, *, alive: bool) -> ViewRoom:
        """Whether a node may come in of which ``by`` tells, and who goes for it."""
        if id_ == self.self_id or id_ in self.known:
            return ViewRoom(True)
        if not alive:
            teller = self.known.get(by)
            proven = by == BROKER or (teller is not None and teller.proven)
            if id_ in self.forgotten or not self.crowd.may_tell(by, proven=proven):
                return ViewRoom(False)
        full = alive and self.crowd.full(by)
        if not full and not self.crowd.too_many(self.known):
            return ViewRoom(True)
        goes = self.crowd.least_missed(self.known, by if full else None)
        if goes is None:
            return ViewRoom(False)
        self.drop(goes)
        return ViewRoom(True, goes)

    def prove(self, id_: str) -> None:
        """A node has answered this node's call."""
        known = self.known.get(id_)
        if known is not None and not known.proven:
            known.proven = True
            self.crowd.went(id_, known.by)

    def learn(self, peer: Peer, now: float, *, alive: bool = False, by: str = "") -> bool:
        """Takes a node's addresses, where they are newer; ``alive`` says that it spoke itself just now."""
        if peer.id == self.self_id:
            return False
        known = self.known.get(peer.id)
        if known is None:
            known = self.known[peer.id] = KnownMember(peer.epoch, peer.started, now, by=by)
            self.crowd.came(peer.id, by)
            self.forgotten.pop(peer.id, None)
        # What was told of its epoch before its first signed record was nobody's word that counts.
        first = bool(peer.key) and (known.peer is None or not known.peer.key)
        if peer.epoch < known.epoch and not first:
            return False
        if alive:
            known.heard = now
            if known.left and (peer.epoch, peer.started) > (known.epoch, known.heartbeat):
                # Its goodbye of before is no news any more.
                known.left, known.goodbye = False, b""
                known.heartbeat = max(known.heartbeat, peer.started)
        if (
            known.peer is not None
            and not first
            and (peer.epoch, peer.started) <= (known.peer.epoch, known.peer.started)
        ):
            return False
        known.peer, known.started = peer, peer.started if first else max(peer.started, known.started)
        if peer.epoch > known.epoch or (first and peer.epoch < known.epoch):
            known.epoch, known.heartbeat = peer.epoch, max(peer.started, 1)
        self._changed(known)
        return True

    def _changed(self, known: KnownMember) -> None:
        self.sequence += 1
        known.changed, known.resting = self.sequence, False

    def settle(self, logs: Mapping[str, LogState], now: float) -> None:
        """Marks the nodes of which nobody need be told again."""
        for id_, known in self.known.items():
            if known.resting or self._state(known, now) not in GONE:
                continue
            state = logs.get(id_)
            held = state.version if state is not None and state.epoch >= known.epoch else 0
            known.resting = held >= known.version and (state is None or not state.unproven)

    def forgettable(self, now: float, *, left: float, dead: float) -> list[str]:
        """Who left, or died, so many seconds ago."""
        limits = {
            (True, True): left,
            (True, False): left,
            (False, True): dead,
            (False, False): UNPROVEN_SECONDS,
        }
        return [
            id_
            for id_, known in self.known.items()
            if now - known.heard > min(dead, limits[known.left, known.proven])
        ]

    def remember(self, known: Mapping[str, KnownMember]) -> None:
        """Begins with the nodes that an earlier process knew."""
        self.known = dict(known)
        for id_, each in known.items():
            if not each.proven:
                self.crowd.came(id_, each.by)

    def leave(self, goodbye: Goodbye) -> None:
        """This node says goodbye."""
        self.left, self.goodbye = True, goodbye.signature

    def heard_goodbye(self, goodbye: Goodbye) -> bool:
        """A node says that it leaves, in truth; whether that is news."""
        known = self.known.get(goodbye.id)
        epoch, heartbeat = goodbye.epoch, goodbye.heartbeat
        if known is None or (epoch, heartbeat) < (known.epoch, known.heartbeat) or known.left:
            return False
        if epoch > known.epoch and known.peer is not None and known.peer.key:
            # It signs its epochs, and it has signed none of this one.
            return False
        known.epoch, known.heartbeat, known.left, known.goodbye = epoch, heartbeat, True, goodbye.signature
        self._changed(known)
        return True

    def state(self, id_: str, now: float) -> PeerState | None:
        known = self.known.get(id_)
        return self._state(known, now) if known else None

    def _state(self, known: KnownMember, now: float) -> PeerState:
        if known.left:
            return PeerState.LEFT
        silent = now - known.heard
        if silent >= self.dead:
            return PeerState.DEAD
        return PeerState.SUSPECT if silent >= self.suspect else PeerState.ALIVE

    def statuses(self, now: float) -> tuple[PeerStatus, ...]:
        """The status of each node whose addresses are known, by id."""
        return tuple(
            PeerStatus(known.peer, self._state(known, now), max(0.0, now - known.heard), known.version)
            for _, known in sorted(self.known.items())
            if known.peer is not None
        )

    def states(self, now: float) -> dict[str, PeerState]:
        """The state of each node whose addresses are known."""
        return {id_: self._state(known, now) for id_, known in self.known.items() if known.peer is not None}

    def proven(self, id_: str) -> bool:
        """Whether a node has answered this node's call."""
        known = self.known.get(id_)
        return known is not None and known.proven

    def by_state(self, now: float) -> dict[PeerState, list[Peer]]:
        found: dict[PeerState, list[Peer]] = {state: [] for state in PeerState}
        for known in self.known.values():
            if known.peer is not None:
                found[self._state(known, now)].append(known.peer)
        return found

    def status(self, id_: str, now: float) -> PeerStatus | None:
        """The status of one node; None where its addresses are not known."""
        known = self.known.get(id_)
        if known is None or known.peer is None:
            return None
        return PeerStatus(known.peer, self._state(known, now), max(0.0, now - known.heard), known.version)

    def in_states(self, now: float, *states: PeerState) -> list[Peer]:
        return [
            known.peer
            for known in self.known.values()
            if known.peer is not None and self._state(known, now) in states
        ]

    def replace(self, peer: Peer, now: float) -> None:
        """Takes another node's record for a name, in the place of the node that had it."""
        self.drop(peer.id)
        self.learn(peer, now)

    def drop(self, id_: str) -> None:
        """Forgets a node until it shows a new heartbeat."""
        known = self.known.pop(id_, None)
        if known is not None:
            self.crowd.went(id_, known.by)
            while len(self.forgotten) >= MOST_FORGOTTEN_NODES:
                del self.forgotten[next(iter(self.forgotten))]
            self.forgotten[id_] = (known.epoch, known.heartbeat)
