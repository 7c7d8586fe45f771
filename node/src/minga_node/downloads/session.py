"""What a running download knows and decides, in one place.

Each method takes an event and returns the effects that follow. The caller carries them out once the lock is
released (:mod:`.asking`). No socket, no thread and no clock: times are handed in, as of
:func:`time.monotonic`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from minga_node.downloads.model import AvailabilityFollowing
from minga_node.downloads.neighbours import Neighbour, Neighbours
from minga_node.errors import MingaError, VerificationFailed
from minga_node.fetching import HolderConnection
from minga_node.manifest import Manifest
from minga_node.model import Peer
from minga_node.swarm import Outcome, PieceFetch, Swarm
from minga_node.wire import piece_set as sets
from minga_node.wire.piece_set import Pieces


@dataclass(slots=True, eq=False)
class Tally:
    """What went wrong, and when it last went well."""

    duplicate_bytes: int = 0
    corrupt_pieces: int = 0
    stalls: int = 0
    last_piece: float = field(default_factory=time.monotonic)
    """When a piece came, or the download began; :func:`time.monotonic`."""


@dataclass(frozen=True, slots=True)
class PieceEffects:
    """What follows from a verified piece."""

    outcome: Outcome
    size: int
    """Bytes."""
    seed: bool
    """Whether a seed sent it."""
    complete: bool
    """Whether it was the last one that was missing."""
    asked_in_vain: tuple[str, ...]
    """Peers that are asked for it as well: they are told that it is here."""


@dataclass(frozen=True, slots=True)
class ClosedEffects:
    """What follows from the end of a connection."""

    corrupt: int
    """How often its holder has sent wrong pieces; 0 unless this connection ended for one."""
    unfollow: AvailabilityFollowing | None
    """A stream to be closed."""
    over: bool
    """Whether nothing is asked any more."""


class DownloadSession:
    """Owns the swarm, the neighbours and the tally of one download, and uses the lock that guards them.

    Args:
        lock: guards all of it.
        changed: a condition of that lock; notified when pieces arrive.
    """

    def __init__(
        self,
        manifest: Manifest,
        swarm: Swarm,
        neighbours: Neighbours,
        tally: Tally,
        *,
        lock: threading.Lock,
        changed: threading.Condition,
    ) -> None:
        self.manifest = manifest
        self._swarm, self._neighbours, self._tally = swarm, neighbours, tally
        self._lock, self._changed = lock, changed
        self.rate = 0
        """Bytes a second, when something was asked last; read without the lock."""

    # requests

    def requests(self, now: float) -> list[tuple[HolderConnection, PieceFetch]]:
        """What is to be asked now, and on which connection."""
        with self._lock:
            if self._neighbours.over:
                return []
            requests = []
            for fetch in self._swarm.schedule(now):
                connections = self._neighbours.known[fetch.holder].receivers
                if connections:
                    requests.append((min(connections, key=lambda connection: connection.load), fetch))
                else:
                    self._swarm.finished(fetch.id)
            if requests:
                self.rate = int(self._swarm.rate.known(now) * self.manifest.piece_size)
            return requests

    def finished(self, fetches: Iterable[PieceFetch]) -> None:
        """These requests were not sent, or have their answer."""
        with self._lock:
            for fetch in fetches:
                self._swarm.finished(fetch.id)

    def prefer(self, pieces: Pieces) -> None:
        """A reader waits for these."""
        with self._lock:
            self._swarm.preferred = pieces & self._swarm.missing

    # answers

    def chosen(self, fetch: PieceFetch, pieces: range, now: float) -> None:
        """A holder has begun its answer, with these pieces."""
        with self._lock:
            self._swarm.chosen(fetch.id, pieces, now)

    def verified(self, fetch: PieceFetch, piece: int, now: float, *, last: bool) -> PieceEffects:
        """A piece is on the disk; ``last``: the answer ends with it."""
        start, end = self.manifest.span(piece)
        with self._lock:
            neighbour = self._neighbours.known[fetch.holder]
            neighbour.bytes += end - start
            neighbour.failures = 0
            neighbour.denied = False
            neighbour.heard_at = self._tally.last_piece = now
            outcome = self._swarm.received(fetch.id, piece, now)
            if last:
                self._swarm.finished(fetch.id)
            if outcome is Outcome.NEW:
                neighbour.pieces |= 1 << piece
            if outcome is Outcome.DUPLICATE:
                self._tally.duplicate_bytes += end - start
            complete = self._swarm.complete
            new = outcome is Outcome.NEW and not complete
            vain = tuple(self._swarm.asked_in_vain(piece)) if new else ()
            self._changed.notify_all()
            return PieceEffects(outcome, end - start, neighbour.peer.seed, complete, vain)

    def refused(self, fetch: PieceFetch, now: float, retry_after: float) -> None:
        """A holder has no time for a request before ``retry_after`` seconds are over."""
        with self._lock:
            self._swarm.refused(fetch.id, now, retry_after)

    def lacking(self, fetch: PieceFetch, *, gone: bool) -> None:
        """A holder has none of what it was asked for; ``gone``: nothing of the content at all."""
        asked = sets.of(piece for pieces in fetch.candidates for piece in pieces)
        with self._lock:
            self._swarm.lacks(fetch.holder, sets.all_pieces(self.manifest.pieces) if gone else asked)
            self._swarm.finished(fetch.id)
            self._neighbours.known[fetch.holder].denied |= gone

    # what others say

    def heard(self, peer_id: str, pieces: Pieces, now: float) -> bool:
        """A peer has these; whether there may be something to ask for now."""
        with self._lock:
            neighbour = self._neighbours.known.get(peer_id)
            if neighbour is not None:
                neighbour.heard_at = now
                neighbour.denied &= not pieces
                if pieces == sets.all_pieces(self.manifest.pieces):
                    neighbour.complete = True
            return self._swarm.add_pieces(peer_id, pieces, now)

    def met(self, others: Iterable[str]) -> bool:
        """These nodes are in the swarm; whether some of them are new."""
        with self._lock:
            return self._neighbours.introduce(others)

    # connections

    def connections(self, peer_id: str) -> tuple[HolderConnection, ...]:
        """Open ones to a peer."""
        with self._lock:
            neighbour = self._neighbours.known.get(peer_id)
            return tuple(neighbour.receivers) if neighbour is not None else ()

    def holders_found(self, holders: Collection[tuple[Peer, bool]], now: float) -> list[Neighbour]:
        """The index says who has the content; returns the neighbours whose news deserve a stream."""
        with self._lock:
            for neighbour in self._neighbours.update(holders):
                if neighbour.connected:
                    self._give_locked(neighbour)
            connected = self._neighbours.connected()
            return [one for one in connected if one.following is None and one.silent(now)]

    def unknown(self) -> set[str]:
        """Nodes of the swarm of which it is not known where they are."""
        with self._lock:
            return self._neighbours.unknown()

    def choose(self, now: float, found: Iterable[Peer]) -> tuple[list[Neighbour], int]:
        """Whom to connect to, and how many neighbours there will be; ``found``: some of :meth:`unknown`."""
        with self._lock:
            if self._neighbours.over or self._swarm.complete:
                return [], 0
            chosen = self._neighbours.choose(now, found)
            return chosen, len(chosen) + len(self._neighbours.connected())

    def connected(self, neighbour: Neighbour, connections: list[HolderConnection], now: float) -> None:
        """Connections to a neighbour are about to start."""
        with self._lock:
            neighbour.receivers = connections
            self._give_locked(neighbour)
            neighbour.heard_at, neighbour.struck = now, False

    def closed(
        self,
        connection: HolderConnection,
        peer_id: str,
        unanswered: Iterable[PieceFetch],
        error: MingaError | None,
        now: float,
    ) -> ClosedEffects:
        """A connection has ended: what is ``unanswered`` may be asked again, its holder tried again later."""
        unfollow = None
        corrupt = 0
        with self._lock:
            neighbour = self._neighbours.known[peer_id]
            if connection in neighbour.receivers:
                neighbour.receivers.remove(connection)
            for fetch in unanswered:
                self._swarm.finished(fetch.id)
            if not neighbour.receivers:
                self._swarm.remove_holder(peer_id)
            if isinstance(error, VerificationFailed):
                neighbour.lied(now)
                self._tally.corrupt_pieces += 1
                corrupt = neighbour.corrupt
            elif error is not None:
                self._tally.stalls += 1
            if error is not None:
                neighbour.failed(now)
                if not neighbour.receivers:
                    # With the next connection everything is told anew.
                    unfollow, neighbour.following = neighbour.following, None
            return ClosedEffects(corrupt, unfollow, self._neighbours.over)

    def followed(self, neighbour: Neighbour, following: AvailabilityFollowing) -> bool:
        """A stream of a neighbour's news is open; False if it is not wanted any more."""
        with self._lock:
            if self._neighbours.over or not neighbour.connected:
                return False
            neighbour.following = following
            return True

    def following_ended(self, neighbour: Neighbour, following: AvailabilityFollowing) -> None:
        """A stream of a neighbour's news has ended."""
        with self._lock:
            if neighbour.following is following:
                neighbour.following = None

    def _give_locked(self, neighbour: Neighbour) -> None:
        """The swarm may ask it."""
        self._swarm.set_holder(neighbour.peer.id, 0, complete=neighbour.complete)
