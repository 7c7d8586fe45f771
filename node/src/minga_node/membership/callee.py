"""The called end of gossip: who is heard, and what a caller is answered."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from minga_node.errors import Conflict, Forged, PeerMisbehaved
from minga_node.index import Delta
from minga_node.membership.clock_bounds import record_fits, why_not
from minga_node.membership.forms import digest_problem
from minga_node.membership.identities import IdentityVerdict
from minga_node.membership.messages import Fetch, Push, Reconcile, Reconciled
from minga_node.membership.peer_conduct import MOST_PEERS
from minga_node.membership.round import DELTA_BYTES, Round
from minga_node.membership.scuttlebutt import Comparison, Digest, compare
from minga_node.metrics import GOSSIP_REFUSED
from minga_node.model import Peer, PeerState

MOST_WANTED = 1_000
"""Unknown nodes that one caller is asked for at once."""


class Callee(Round):
    """The half of a round that answers. Any number of threads may call at once."""

    def admit(self, network: str, sender: Peer, network_id: str = "") -> None:
        """Judges the sender of a message, before anything that the message says.

        Raises:
            Conflict, Forged: the sender is not heard.
        """
        if network != self._network:
            raise Conflict(f"this is the network {self._network!r}, not {network[:128]!r}")
        if not record_fits(sender):
            raise Conflict(why_not(sender) or "this record cannot be true")
        if sender.id == self._index.self_id:
            self.hearing.learn(sender)
            raise Conflict(f"there is a node {sender.id!r} already: it is this one")
        if self.twins.aside:
            raise Conflict(f"{self._index.self_id} takes no part: {self.twins.problem}")
        if not self.network_id.heard(network_id):
            raise Conflict(f"this is another network of the name {network!r}")
        if self.conduct.refused(sender.id):
            GOSSIP_REFUSED.labels("quarantined").inc()
            raise Conflict("this peer broke the protocol and is not heard for a while")
        try:
            verdict = self._identities.judge(sender)
        except Forged:
            # Whoever this is, it is not the one that it says: that one is not to blame.
            GOSSIP_REFUSED.labels("forged").inc()
            raise
        if verdict is IdentityVerdict.CONTESTED:
            raise Conflict(f"the name {sender.id!r} is another node's, which may still live")

    def accept(
        self, network: str, peer: Peer, network_id: str = "", caller: str = ""
    ) -> tuple[Peer, tuple[Peer, ...]]:
        """A newcomer, or one that comes back; who this is and whom it knows.

        Args:
            caller: from where it came.

        Raises:
            Conflict: another network, or the name is taken by a live node.
            Busy: many newcomers come from there.
        """
        if network != self._network:
            raise Conflict(f"this is the network {self._network!r}, not {network[:128]!r}")
        if not record_fits(peer):
            raise Conflict(why_not(peer) or "this record cannot be true")
        own = self.own()
        if peer.id == self._index.self_id:
            if peer.key != own.key:
                raise Conflict(f"the name {peer.id!r} is taken: it is this node's")
            # This node itself, or one with the same state.
            self.hearing.learn(peer)
            return own, ()
        if self.twins.aside:
            raise Conflict(f"{self._index.self_id} takes no part: {self.twins.problem}")
        if not self.network_id.heard(network_id):
            raise Conflict(f"this is another network of the name {network!r}: it was begun apart from yours")
        if not peer.key:
            raise Conflict(
                f"the record of {peer.id!r} is not signed: its release is too old for this network"
            )
        with self.lock:
            known = self._view.known.get(peer.id)
            taken = (
                known is not None
                and known.peer is not None
                and self._view.state(peer.id, self._clock()) is PeerState.ALIVE
                and known.peer.grpc_target != peer.grpc_target
                # With the same state it is the same node, which came back at another address.
                and known.peer.epoch != peer.epoch
            )
            if taken:
                raise Conflict(f"the name {peer.id!r} is taken: a node that has it is alive")
        if not self.hearing.learn(peer, alive=True, at=caller):
            raise Conflict(f"the name {peer.id!r} is taken: the node that has it may still live")
        with self.lock:
            return own, tuple(self._view.in_states(self._clock(), PeerState.ALIVE, PeerState.SUSPECT))

    def serve(self, request: Fetch, cancel: Callable[[], object]) -> Iterator[Delta]:
        """All that a caller lacks, in parts; ``cancel`` ends the stream, from another thread.

        Raises:
            Conflict: the caller is of another network, or is refused.
            Busy: enough others are being served.
        """
        self.admit(request.network, request.sender, request.network_id)
        self.hearing.learn(request.sender, alive=True, at=request.caller)
        theirs = {digest.id: digest for digest in request.digests}
        yield from self._supply.all(
            compare(self.digests(), theirs).needs, DELTA_BYTES, request.sender.id, cancel
        )

    def answer(self, request: Reconcile) -> Reconciled:
        """The callee's half.

        Raises:
            Conflict: the caller is of another network, or is refused.
            PeerMisbehaved: it breaks the protocol.
        """
        self.admit(request.network, request.sender, request.network_id)
        try:
            # Cut, not refused: an honest node may have been told of too many.
            digests = [digest for digest in request.digests[:MOST_PEERS] if digest_problem(digest) is None]
            theirs = {digest.id: digest for digest in digests}
            if len(theirs) != len(digests):
                raise PeerMisbehaved(f"{len(digests)} digests of {len(theirs)} nodes")
            self.hearing.learn(request.sender, alive=True, at=request.caller)
            self.hearing.take(request.digests[:MOST_PEERS], (), request.sender.id)
            self.hearing.confirmed |= self._index.self_id in theirs
            comparison, sequence = self._compare(request, theirs)
            if self._catch_up.running:
                # A stream is bringing it. But who writes a log must hear how much of it is here.
                its_own = (digest for digest in comparison.wanted if digest.id == request.sender.id)
                comparison = replace(comparison, wanted=tuple(its_own))
                self.conduct.be_patient()
            with self.lock:
                known = [digest for digest in comparison.wanted if digest.id in self._view.known]
            self.conduct.check_caller(request.sender, known, theirs)
        except PeerMisbehaved as error:
            self.conduct.blame(request.sender, error)
            raise
        own = theirs.get(self._index.self_id)
        if own is not None:
            self._compaction.acknowledge(request.sender.id, own)
        deltas, more = self._supply.some(comparison.needs, min(request.max_bytes, DELTA_BYTES))
        return Reconciled(
            self._index.self_id,
            comparison.newer,
            deltas,
            comparison.wanted,
            more,
            self.peers_of(comparison.addresses),
            self._told.start if sequence else 0,
            sequence,
            self.network_id.value,
        )

    def _compare(self, request: Reconcile, theirs: Mapping[str, Digest]) -> tuple[Comparison, int]:
        """What follows from a caller's digests, and where in this node's history that is; 0 where the caller
        has to send them all."""
        sequence = max(1, self._view.sequence)
        if not request.start:
            mine = self.digests()
            return _bounded(compare(mine, theirs), mine), sequence
        mine = self.digests(request.since if request.start == self._told.start else sequence, theirs)
        found = compare({id_: digest for id_, digest in mine.items() if id_ in theirs}, theirs)
        if request.start != self._told.start:
            return _bounded(found, mine), 0
        # Who is not mentioned rests there. What has changed of it here is told; its entries come when it is
        # asked for them.
        with self.lock:
            changed = [
                id_
                for id_, known in self._view.known.items()
                if known.changed > request.since and id_ not in theirs
            ]
        found = replace(
            found,
            newer=(*found.newer, *(mine[id_] for id_ in changed if id_ in mine)),
            addresses=(*found.addresses, *changed),
        )
        return _bounded(found, mine), sequence

    def take_push(self, message: Push) -> bool:
        """News that a peer sends by itself; whether they were any.

        Raises:
            Conflict, PeerMisbehaved: as for :meth:`answer`.
        """
        self.admit(message.network, message.sender, message.network_id)
        try:
            self.hearing.learn(message.sender, alive=True, at=message.caller)
            self.hearing.take(message.digests, message.peers, message.sender.id)
            return self.hearing.apply(message.deltas, message.sender.id)
        except Forged as error:
            if error.writer == message.sender.id:
                # Its disk may be an old copy. It harms itself alone; hearing this, it begins a new epoch.
                GOSSIP_REFUSED.labels("forged").inc()
                raise Conflict(
                    f"the log of {error.writer} does not follow from what it signed before"
                ) from error
            self.conduct.blame(message.sender, error)
            raise
        except PeerMisbehaved as error:
            self.conduct.blame(message.sender, error)
            raise


def _bounded(found: Comparison, mine: Mapping[str, Digest]) -> Comparison:
    """The comparison with fewer wanted nodes: of those that are unknown here, a thousand at most."""
    unknown = [digest.id for digest in found.wanted if digest.id not in mine]
    if len(unknown) <= MOST_WANTED:
        return found
    left_out = set(random.sample(unknown, len(unknown) - MOST_WANTED))
    return replace(found, wanted=tuple(digest for digest in found.wanted if digest.id not in left_out))
