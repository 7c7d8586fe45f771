"""The nodes that a download exchanges pieces with, or would: who they are, when to try them again, what came
of them.

No socket and no thread. Not thread-safe; the caller holds the download's lock.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from minga_node.downloads.model import AvailabilityFollowing
from minga_node.fetching import HolderConnection
from minga_node.model import Peer
from minga_node.swarm import choose_neighbours
from minga_node.swarm.neighbour_choice import NEIGHBOURS, Hunger
from minga_node.wire.piece_set import Pieces

RETRY = 0.5
LONGEST_RETRY = 15.0
SILENT = 2.0
"""Seconds."""
MOST_INTRODUCED = 4096
"""Names that are remembered, of which some may be nobody's."""
CORRUPT = 2
"""Times that a holder sent wrong pieces, on connections one after the other, after which it is asked no more.

An honest one whose file was changed meanwhile does so once: when it is asked again it has noticed.
"""
AFTER_CORRUPT = 6.0
"""Seconds before a holder that sent a wrong piece is asked again; one that still had the file open which was
changed has closed it by then."""


@dataclass(slots=True, eq=False)
class Neighbour:
    """A node that a download exchanges pieces with, or would."""

    peer: Peer
    complete: bool
    receivers: list[HolderConnection] = field(default_factory=list)
    following: AvailabilityFollowing | None = None
    listed: bool = False
    """It shares the content, by what the index says."""
    denied: bool = False
    """It said that it has nothing of it."""
    corrupt: int = 0
    struck: bool = False
    """A wrong piece came since it was connected to last."""
    failures: int = 0
    retry_at: float = 0.0
    heard_at: float = 0.0
    """When it last said anything, or was connected to."""
    bytes: int = 0
    pieces: Pieces = 0
    """Those that came from it."""

    @property
    def connected(self) -> bool:
        return bool(self.receivers)

    @property
    def trusted(self) -> bool:
        """Whether it may send something right: it is no liar, and has not said that it has nothing."""
        return self.corrupt < CORRUPT and not self.denied

    def silent(self, now: float) -> bool:
        """Whether its answers bring no news, so that those are worth a stream of their own."""
        return self.connected and not self.complete and now - self.heard_at > SILENT

    def lied(self, now: float) -> None:
        """It sent a wrong piece. Those of several connections at once are one lie."""
        self.corrupt += not self.struck
        self.struck = True
        self.retry_at = now + AFTER_CORRUPT

    def failed(self, now: float) -> None:
        """A connection to it broke: the next one is tried later each time."""
        self.failures += 1
        retry_at = now + min(LONGEST_RETRY, RETRY * 2 ** min(self.failures - 1, 8))
        self.retry_at = max(self.retry_at, retry_at)


class Neighbours:
    """Those of one download, by node id.

    Args:
        name: this node's id; it is not its own neighbour.
        random: for the choice.
        lies: how often peers sent wrong pieces before.
        introduced: nodes that are in the swarm by what they or others said before.
    """

    def __init__(
        self,
        name: str,
        random: random.Random,
        lies: Mapping[str, int] | None = None,
        introduced: Collection[str] = (),
    ) -> None:
        self._name, self._random = name, random
        self._lies = dict(lies or {})
        self.known: dict[str, Neighbour] = {}
        self.over = False
        """The download has ended: nobody is connected to or asked any more."""
        self._introduced: set[str] = set(introduced)
        self._followers: set[str] = set()
        self.strangers = False
        """Whether some were introduced since the last choice."""
        self.hunger = Hunger()

    def introduce(self, names: Iterable[str], *, follow: bool = False) -> bool:
        """Remembers nodes of the swarm, which maybe follow this one; whether that is new."""
        known = self._followers if follow else self._introduced
        new = {name for name in names if name != self._name} - known
        if not new or self.over or len(self._introduced) + len(new) > MOST_INTRODUCED:
            return False
        self._introduced |= new
        if follow:
            self._followers |= new
        self.strangers = True
        return True

    def update(self, holders: Iterable[tuple[Peer, bool]]) -> list[Neighbour]:
        """Takes in where the holders are, with whether they have all of it; returns those that have become
        complete.
        """
        completed = []
        before = {peer_id for peer_id, one in self.known.items() if one.listed}
        for one in self.known.values():
            one.listed = False
        for peer, complete in holders:
            known = self.known.get(peer.id)
            if known is None:
                known = self._add(peer, complete)
            if peer.id not in before or (peer.epoch, peer.started) != (known.peer.epoch, known.peer.started):
                known.denied = False
            known.peer, known.listed = peer, True
            if complete and not known.complete:
                known.complete = True
                completed.append(known)
        return completed

    def _add(self, peer: Peer, complete: bool) -> Neighbour:
        added = self.known[peer.id] = Neighbour(peer, complete, corrupt=self._lies.get(peer.id, 0))
        return added

    def unknown(self) -> set[str]:
        """Those introduced of whom it is not known where they are."""
        return self._introduced - self.known.keys()

    def choose(self, now: float, found: Iterable[Peer]) -> list[Neighbour]:
        """Whom to connect to now, besides those connected; ``found`` are some of :meth:`unknown`."""
        self.strangers = False
        for peer in found:
            if peer.id not in self.known:
                self._add(peer, False)
        willing = [
            peer_id for peer_id, one in self.known.items() if self._may_give(one) and one.retry_at <= now
        ]
        current = [peer_id for peer_id, one in self.known.items() if one.connected]
        complete = [peer_id for peer_id, one in self.known.items() if one.complete]
        limit = max(NEIGHBOURS, self.hunger.limit(len(current)))
        chosen = choose_neighbours(
            willing, complete, current, self._random, followers=self._followers, limit=limit
        )
        return [self.known[peer_id] for peer_id in chosen]

    def _may_give(self, one: Neighbour) -> bool:
        return one.trusted and (one.listed or one.peer.id in self._introduced)

    @property
    def hopeful(self) -> bool:
        """Whether anybody is left who may send something, now or when asked again."""
        return any((one.trusted and one.connected) or self._may_give(one) for one in self.known.values())

    def lies(self) -> dict[str, int]:
        """How often peers have sent wrong pieces."""
        return {**self._lies, **{peer_id: one.corrupt for peer_id, one in self.known.items() if one.corrupt}}

    def denied(self) -> list[str]:
        """Those that said that they have nothing."""
        return [peer_id for peer_id, one in self.known.items() if one.denied]

    def connected(self) -> list[Neighbour]:
        return [one for one in self.known.values() if one.connected]

    @property
    def corrupt(self) -> bool:
        """Whether one is not asked any more for what it sent."""
        return any(one.corrupt >= CORRUPT for one in self.known.values())

    def bytes(self) -> dict[str, int]:
        """What came, by the peer that sent it."""
        return {peer_id: one.bytes for peer_id, one in self.known.items() if one.bytes}

    def origins(self, have: Pieces) -> dict[str, Pieces]:
        """The pieces of ``have``, by the peer that sent them; under "" those from an earlier process."""
        found = {peer_id: one.pieces for peer_id, one in self.known.items() if one.pieces}
        before = have
        for pieces in found.values():
            before &= ~pieces
        return {**found, "": before} if before else found
