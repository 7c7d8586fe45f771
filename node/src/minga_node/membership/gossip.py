"""The calling end of a round of gossip, and of news. No threads and no sockets of its own."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from minga_node.errors import Busy, Conflict, Forged, PeerMisbehaved, PeerUnreachable
from minga_node.index import Delta
from minga_node.membership.callee import Callee
from minga_node.membership.forms import digest_problem
from minga_node.membership.messages import DeltaStream, Fetch, Push, Reconcile
from minga_node.membership.round import DELTA_BYTES
from minga_node.membership.scuttlebutt import need
from minga_node.metrics import GOSSIP_REFUSED, INDEX_LAG
from minga_node.model import Peer

log = logging.getLogger(__name__)

MOST_EXCHANGES = 10_000
"""Messages of one catch-up; a bound on what a peer that always has more can make us do."""


class Gossip(Callee):
    """Reconciles with one peer at a time; thread-safe."""

    def meet(self, peer: Peer) -> bool:
        """Reconciles with a peer until neither has news for the other; whether anything came.

        Raises:
            PeerUnreachable, PeerMisbehaved, Conflict, Busy
        """
        news = False
        if self.conduct.refused(peer.id):
            return False
        for _ in range(MOST_EXCHANGES):
            try:
                came, again = self._exchange(peer)
            except PeerMisbehaved as error:
                if isinstance(error, Forged) and error.writer == peer.id:
                    # It is told when it sends this by itself.
                    GOSSIP_REFUSED.labels("forged").inc()
                    raise Conflict(str(error)) from error
                self.conduct.blame(peer, error)
                raise
            except PeerUnreachable:
                self.conduct.excuse(peer)
                raise
            news |= came
            if not again:
                break
        return news

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
            self.conduct.doubt(peer, f"does not answer well ({error})")
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
        INDEX_LAG.set(sum(max(0, digest.version - self.conduct.held(digest)) for digest in claimed.values()))
        self.conduct.check_answer(
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
                self._network, self.own(), news, deltas, self.peers_of(addresses), self.network_id.said
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
                self.conduct.doubt(peer, "says that there is more and brings nothing")
            came |= bool(brought)
        if not (answer.more or unsent):
            self._told.met(peer.id, sequence, answer.start, answer.sequence, now, everything=told is None)
        # What does not fit into a message is fetched by who lacks it.
        return came, (answer.more and came) or (unsent and bool(deltas))

    def _fetch(self, peer: Peer) -> bool | None:
        """Whether a stream brought anything; None where there was none."""

        def fetch() -> DeltaStream:
            message = Fetch(self._network, self.own(), tuple(self.digests().values()), self.network_id.said)
            return self._calls.fetch(peer.grpc_target, message)

        def apply(deltas: Sequence[Delta], middle: bool) -> bool:
            return self.hearing.apply(deltas, peer.id, middle=middle)

        try:
            return self._catch_up.run(peer.id, fetch, apply)
        except Busy as error:
            # It has no time for a stream; its rounds go on.
            log.debug("%s: %s", peer.id, error)
            self.conduct.be_patient()
            return None

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
