"""What both ends of a round of gossip need, over this node's view and index."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Container, Iterable
from dataclasses import replace

from minga_node.index import Index
from minga_node.membership.catching_up import CatchUp
from minga_node.membership.compaction import Compaction
from minga_node.membership.goodbyes import Goodbyes
from minga_node.membership.hearing import Hearing
from minga_node.membership.identities import Identities
from minga_node.membership.messages import GossipCalls
from minga_node.membership.name_conflicts import NameConflicts
from minga_node.membership.network_id import NetworkId
from minga_node.membership.peer_conduct import PeerConduct
from minga_node.membership.scuttlebutt import Digest
from minga_node.membership.supply import Supply
from minga_node.membership.told import ToldDigests
from minga_node.membership.twins import Twins
from minga_node.membership.view import View
from minga_node.membership.view_digests import view_digests
from minga_node.model import Peer, PeerState

DELTA_BYTES = 2 * 1024 * 1024
"""Bytes of deltas in one message, about."""


class Round:
    """What both halves of a round share: the view, the index, and what was heard. Any thread may call."""

    def __init__(
        self,
        index: Index,
        view: View,
        calls: GossipCalls,
        self_peer: Callable[[], Peer],
        network: str,
        clock: Callable[[], float] = time.monotonic,
        *,
        network_id: NetworkId,
    ) -> None:
        self._index, self._view, self._calls, self._network = index, view, calls, network
        self._self_peer, self._clock = self_peer, clock
        self.lock = threading.RLock()
        """Guards the view."""
        self.conduct = PeerConduct(index.logs, calls.forget, clock)
        self._identities = Identities(index.logs.keys, network, clock)
        self.goodbyes = Goodbyes(index.logs.keys, network)
        self.hearing = Hearing(index, view, self.lock, self._identities, self.conduct, self.goodbyes, clock)
        self.name_conflicts = NameConflicts(
            index, view, self.lock, self._identities, calls, network, self.own, clock
        )
        self._catch_up = CatchUp()
        self._supply = Supply(index.logs)
        self._compaction = Compaction(index)
        self._told = ToldDigests()
        self.network_id = network_id
        self.twins = Twins(
            self.own, self._identities.signed_by_self, calls, network, 3 * view.suspect, clock, self._go_on
        )
        self.hearing.on_own_record = self.twins.heard

    def own(self) -> Peer:
        with self.lock:
            peer = replace(
                self._self_peer(),
                epoch=self._index.logs.own.epoch,
                started=self._view.started,
                born=self._view.born,
            )
        return self._identities.sign(peer)

    def digests(self, since: int | None = None, also: Container[str] = ()) -> dict[str, Digest]:
        with self.lock:
            return view_digests(self._view, self._index.logs.states(), since, also)

    def _go_on(self, other: Peer) -> None:
        """This node is the one to keep the name: nothing that the other one said counts."""
        now = time.time_ns()
        self._index.logs.renew(max(self._index.logs.own.epoch + 1, now // 1_000))
        with self.lock:
            self._view.restart(max(now // 1_000_000, other.started + 1))

    def prove(self, id_: str) -> None:
        """A node has answered this node's own call."""
        with self.lock:
            self._view.prove(id_)

    def compact(self) -> None:
        """Drops the own log's tombstones that need not be kept."""
        with self.lock:
            alive = self._view.in_states(self._clock(), PeerState.ALIVE, PeerState.SUSPECT)
        self._compaction.run(alive)

    def peers_of(self, ids: Iterable[str]) -> tuple[Peer, ...]:
        ids = set(ids)
        own = (self.own(),) if self._index.self_id in ids else ()
        with self.lock:
            known = [self._view.known.get(id_) for id_ in ids]
            return own + tuple(each.peer for each in known if each is not None and each.peer is not None)
