"""Both ends of a round of gossip, over this node's view and index. No threads and no sockets of its own."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from minga_node.errors import Busy, Conflict, Forged, PeerMisbehaved, PeerUnreachable
from minga_node.index import Delta, Index
from minga_node.membership.bounds import record_fits, why_not
from minga_node.membership.catching_up import CatchUp
from minga_node.membership.claims import MOST_PEERS, Claims
from minga_node.membership.compaction import Compaction
from minga_node.membership.forms import digest_problem
from minga_node.membership.goodbyes import Goodbyes
from minga_node.membership.hearing import Hearing
from minga_node.membership.identities import Identities, Verdict
from minga_node.membership.messages import Fetch, GossipCalls, Push, Reconcile, Reconciled, Stream
from minga_node.membership.naming import Naming
from minga_node.membership.network_id import NetworkId
from minga_node.membership.scuttlebutt import Comparison, Digest, compare, need
from minga_node.membership.supply import Supply
from minga_node.membership.told import Told
from minga_node.membership.twins import Twins
from minga_node.membership.view import View
from minga_node.metrics import GOSSIP_REFUSED, INDEX_LAG
from minga_node.model import Peer, PeerState

log = logging.getLogger(__name__)

DELTA_BYTES = 2 * 1024 * 1024
"""Of deltas in one message, about."""
MOST_WANTED = 1_000
"""Unknown nodes that one caller is asked for at once."""
MOST_EXCHANGES = 10_000
"""Messages of one catch-up; a bound on what a peer that always has more can make us do."""


class Gossip:
    """Reconciles with one peer at a time; thread-safe."""

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
        self.claims = Claims(index.logs, calls.forget, clock)
        self._identities = Identities(index.logs.keys, network, clock)
        self.goodbyes = Goodbyes(index.logs.keys, network)
        self.hearing = Hearing(index, view, self.lock, self._identities, self.claims, self.goodbyes, clock)
        self.naming = Naming(index, view, self.lock, self._identities, calls, network, self.own, clock)
        self._catch_up = CatchUp()
        self._supply = Supply(index.logs)
        self._compaction = Compaction(index)
        self._told = Told()
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
            return self._view.digests(self._index.logs.states(), since, also)

    def _go_on(self, other: Peer) -> None:
        """This node is the one to keep the name: nothing that the other one said counts."""
        now = time.time_ns()
        self._index.logs.renew(max(self._index.logs.own.epoch + 1, now // 1_000))
        with self.lock:
            self._view.restart(max(now // 1_000_000, other.started + 1))

    def meet(self, peer: Peer) -> bool:
        """Reconciles with a peer until neither has news for the other; whether anything came.

        Raises:
            PeerUnreachable, PeerMisbehaved, Conflict, Busy
        """
        news = False
        if self.claims.refused(peer.id):
            return False
        for _ in range(MOST_EXCHANGES):
            try:
                came, again = self._exchange(peer)
            except PeerMisbehaved as error:
                if isinstance(error, Forged) and error.writer == peer.id:
                    # It is told when it sends this by itself.
                    GOSSIP_REFUSED.labels("forged").inc()
                    raise Conflict(str(error)) from error
                self.claims.blame(peer, error)
                raise
            except PeerUnreachable:
                self.claims.excuse(peer)
                raise
            news |= came
            if not again:
                break
        return news

    def prove(self, id_: str) -> None:
        """A node has answered this node's own call."""
        with self.lock:
            self._view.prove(id_)

    def _exchange(self, peer: Peer) -> tuple[bool, bool]:
        now = self._clock()
        told = self._told.since(peer.id, now)
        sequence = self._view.sequence
        mine = self.digests(told[0] if told else None)
        # What a stream is bringing must not come a second time from elsewhere.
        budget = 0 if self._catch_up.running else DELTA_BYTES
        start, since = told[1:] if told else (0, 0)
        request = Reconcile(
            self._network, self.own(), tuple(mine.values()), budget, start, since, self.network_id.said
        )
        try:
            answer = self._calls.reconcile(peer.grpc_target, request)
        except PeerMisbehaved as error:
            # A refusal is what it says of us, and no proof against it; too many entries are only a doubt.
            self.claims.doubt(peer, f"does not answer well ({error})")
            raise PeerUnreachable(str(error)) from error
        if answer.id != peer.id:
            raise Conflict(f"{peer.grpc_target} is {answer.id[:128]!r} now, not {peer.id}")
        if not self.network_id.heard(answer.network_id):
            raise Conflict(f"{peer.grpc_target} is of another network of the name {self._network}")
        # It answered, so it lives, whatever its heartbeat's way here.
        self.hearing.learn(peer, alive=True)
        self.prove(peer.id)
        claimed = {digest.id: digest for digest in answer.digests if digest_problem(digest) is None}
        self.hearing.take(answer.digests, answer.peers, peer.id)
        came = self.hearing.apply(answer.deltas, peer.id)
        INDEX_LAG.set(sum(max(0, digest.version - self.claims.held(digest)) for digest in claimed.values()))
        self.claims.check_answer(
            peer, (digest for digest in claimed.values() if not told or digest.id in mine), answer
        )
        wanted = {digest.id: digest for digest in answer.wanted}
        own = wanted.get(self._index.self_id)
        if own is not None and own.epoch:
            self.hearing.take([own], (), peer.id)
        self.hearing.confirmed = True
        self._compaction.acknowledge(peer.id, wanted.get(self._index.self_id, mine[self._index.self_id]))
        ours = {id_: digest for id_, digest in self.digests().items() if id_ in wanted} if wanted else {}
        needs = [
            lacking for id_, theirs in wanted.items()
            if id_ in ours and (lacking := need(ours[id_], theirs if theirs.epoch else None)) is not None
        ]  # fmt: skip
        addresses = [
            id_ for id_, theirs in wanted.items() if id_ in ours and ours[id_].address > theirs.address
        ]
        deltas: tuple[Delta, ...] = ()
        unsent = False
        if needs or addresses:
            deltas, unsent = self._supply.some(needs, DELTA_BYTES)
            news = tuple(ours[delta.peer_id] for delta in deltas)
            message = Push(
                self._network, self.own(), news, deltas, self._peers(addresses), self.network_id.said
            )
            try:
                self._calls.push(peer.grpc_target, message)
            except PeerMisbehaved as error:
                raise PeerUnreachable(str(error)) from error
            except Conflict:
                if any(delta.peer_id == self._index.self_id for delta in deltas):
                    self.hearing.contradicted()
                raise
        if answer.more:
            brought = self._fetch(peer)
            if brought is False and not came:
                self.claims.doubt(peer, "says that there is more and brings nothing")
            came |= bool(brought)
        if not (answer.more or unsent):
            self._told.met(peer.id, sequence, answer.start, answer.sequence, now, everything=told is None)
        # What does not fit into a message is fetched by who lacks it.
        return came, (answer.more and came) or (unsent and bool(deltas))

    def _fetch(self, peer: Peer) -> bool | None:
        """Whether a stream brought anything; None where there was none."""

        def fetch() -> Stream:
            message = Fetch(self._network, self.own(), tuple(self.digests().values()), self.network_id.said)
            return self._calls.fetch(peer.grpc_target, message)

        def apply(deltas: Sequence[Delta], middle: bool) -> bool:
            return self.hearing.apply(deltas, peer.id, middle=middle)

        try:
            return self._catch_up.run(peer.id, fetch, apply)
        except Busy as error:
            # It has no time for a stream; its rounds go on.
            log.debug("%s: %s", peer.id, error)
            self.claims.be_patient()
            return None

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
                self.claims.be_patient()
            with self.lock:
                known = [digest for digest in comparison.wanted if digest.id in self._view.known]
            self.claims.check_caller(request.sender, known, theirs)
        except PeerMisbehaved as error:
            self.claims.blame(request.sender, error)
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
            self._peers(comparison.addresses),
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
            self.claims.blame(message.sender, error)
            raise
        except PeerMisbehaved as error:
            self.claims.blame(message.sender, error)
            raise

    def tell(self, peer: Peer, deltas: tuple[Delta, ...]) -> None:
        """Sends news by ourselves.

        Raises:
            PeerUnreachable, PeerMisbehaved, Conflict, Busy
        """
        ours = self.digests()
        digests = tuple(ours[delta.peer_id] for delta in deltas if delta.peer_id in ours)
        message = Push(self._network, self.own(), digests, deltas, network_id=self.network_id.said)
        self._calls.push(peer.grpc_target, message)

    def stop(self) -> None:
        """Ends a catch-up that is going on."""
        self._catch_up.stop()

    def compact(self) -> None:
        """Drops the own log's tombstones that need not be kept."""
        with self.lock:
            alive = self._view.in_states(self._clock(), PeerState.ALIVE, PeerState.SUSPECT)
        self._compaction.run(alive)

    def _peers(self, ids: Iterable[str]) -> tuple[Peer, ...]:
        ids = set(ids)
        own = (self.own(),) if self._index.self_id in ids else ()
        with self.lock:
            known = [self._view.known.get(id_) for id_ in ids]
            return own + tuple(each.peer for each in known if each is not None and each.peer is not None)

    def admit(self, network: str, sender: Peer, network_id: str = "") -> None:
        """Looks at who speaks, before anything else that it says.

        Raises:
            Conflict, Forged: it is not heard.
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
        if self.claims.refused(sender.id):
            GOSSIP_REFUSED.labels("quarantined").inc()
            raise Conflict("this peer broke the protocol and is not heard for a while")
        try:
            verdict = self._identities.judge(sender)
        except Forged:
            # Whoever this is, it is not the one that it says: that one is not to blame.
            GOSSIP_REFUSED.labels("forged").inc()
            raise
        if verdict is Verdict.CONTESTED:
            raise Conflict(f"the name {sender.id!r} is another node's, which may still live")


def _bounded(found: Comparison, mine: Mapping[str, Digest]) -> Comparison:
    """Without most of those that somebody has heard of and this node has not."""
    unknown = [digest.id for digest in found.wanted if digest.id not in mine]
    if len(unknown) <= MOST_WANTED:
        return found
    left_out = set(random.sample(unknown, len(unknown) - MOST_WANTED))
    return replace(found, wanted=tuple(digest for digest in found.wanted if digest.id not in left_out))
