"""What others say: digests, records and entries get into this node's view and index, or are refused."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from math import inf

from minga_node.errors import Busy
from minga_node.index import Delta, Index
from minga_node.index.log import KEY
from minga_node.membership.clock_bounds import digest_fits, record_fits, word_fits
from minga_node.membership.crowd import AT
from minga_node.membership.goodbyes import Goodbye, Goodbyes
from minga_node.membership.identities import Identities, IdentityVerdict
from minga_node.membership.newcomers import Newcomers
from minga_node.membership.peer_conduct import PeerConduct
from minga_node.membership.scuttlebutt import Digest
from minga_node.membership.view import View
from minga_node.metrics import GOSSIP_REFUSED
from minga_node.model import Peer

log = logging.getLogger(__name__)

CONTRADICTED_SECONDS = 60.0
"""Between two new epochs that are begun because a peer says that this node's log does not follow."""


class Hearing:
    """Takes in what other nodes say: records, digests, goodbyes, entries. Any thread may call.

    Args:
        lock: guards the view.
    """

    def __init__(
        self,
        index: Index,
        view: View,
        lock: threading.RLock,
        identities: Identities,
        conduct: PeerConduct,
        goodbyes: Goodbyes,
        clock: Callable[[], float],
    ) -> None:
        self._index, self._view, self.lock = index, view, lock
        self._goodbyes = goodbyes
        self._identities, self._conduct, self._clock = identities, conduct, clock
        self.on_own_record: Callable[[Peer], None] = lambda _record: None
        """Called with records that have this node's name."""
        self._loaded = index.logs.own.version
        self.confirmed = False
        """Whether somebody has said how much of this node's log it knows, since this process began. Until
        then nobody can know more of it than was on the disk, unless that is an old copy."""
        self._contradicted = -inf
        self._newcomers = Newcomers()
        self._parts: dict[str, set[str]] = {}
        """Who brought parts of a log whose end has not come yet, by the log's writer."""
        index.logs.on_false.append(self._proved_false)

    def take(self, digests: Iterable[Digest], peers: Sequence[Peer], by: str) -> None:
        """What ``by`` says of nodes.

        Raises:
            PeerMisbehaved, Forged
        """
        digests = tuple(filter(digest_fits, digests))
        logs = self._index.logs
        now = self._clock()
        for peer in peers:
            self.learn(peer, by=by)
        digests = self._without_false_goodbyes(digests)
        with self.lock:
            own = logs.own
            if not self.confirmed:
                own = replace(own, version=min(own.version, self._loaded))
            news = self._view.merge(filter(self._may_be, digests), own, now)
        if news.own_epoch is not None:
            self._renew(news.own_epoch)
        for id_, epoch in news.renewed:
            self._begin(id_, epoch)
        for digest in digests:
            state = logs.state(digest.id)
            if (
                state is not None
                and digest.id != self._index.self_id
                and state.epoch == digest.epoch
                and state.compacted < digest.compacted <= state.version
            ):
                logs.compact(digest.id, digest.compacted)

    def hear_goodbye(self, goodbye: Goodbye) -> bool:
        """A node says that it leaves, or somebody says so in its name; whether that is news, and true."""
        if not word_fits(goodbye.epoch, goodbye.heartbeat) or not self._goodbyes.believed(goodbye):
            return False
        with self.lock:
            return self._view.heard_goodbye(goodbye)

    def _without_false_goodbyes(self, digests: Sequence[Digest]) -> Sequence[Digest]:
        """The digests but for those that tell of a goodbye which its node never signed."""
        if not any(digest.left for digest in digests):
            return digests
        with self.lock:
            news = {digest.id: digest for digest in digests if digest.left and self._is_newer(digest)}
        false = {
            digest.id
            for digest in news.values()
            if not self._goodbyes.believed(Goodbye(digest.id, digest.epoch, digest.heartbeat, digest.goodbye))
        }
        return tuple(
            digest
            for digest in digests
            if digest.id not in news
            or not digest.left
            or (digest.id not in false and digest == news[digest.id])
        )

    def _is_newer(self, digest: Digest) -> bool:
        known = self._view.known.get(digest.id)
        return known is not None and digest.age > (known.epoch, known.heartbeat, known.left)

    def contradicted(self) -> None:
        """A peer holds a log of this node's that what this node sends does not follow from."""
        now = self._clock()
        if now - self._contradicted >= CONTRADICTED_SECONDS:
            self._contradicted = now
            self._renew(self._index.logs.own.epoch + 1)

    def _renew(self, least: int) -> None:
        log.warning("others know more of this node's files than itself: it begins a new epoch")
        self._index.logs.renew(max(least, time.time_ns() // 1000))
        self.confirmed = True

    def _may_be(self, digest: Digest) -> bool:
        """Whether a digest's epoch is one that its node has signed, if it signs. With the lock held."""
        if digest.id == self._index.self_id or not self._identities.signs(digest.id):
            return True
        known, state = self._view.known.get(digest.id), self._index.logs.state(digest.id)
        recorded = known.peer.epoch if known is not None and known.peer is not None else 0
        return digest.epoch <= max(recorded, state.epoch if state is not None and state.signature else 0)

    def learn(self, peer: Peer, *, alive: bool = False, by: str = "", at: str = "") -> bool:
        """Takes a node's addresses; ``alive`` says that it spoke itself just now, else ``by`` tells of it.
        False where the name is another node's, the record cannot be true, or there is no room for it.

        Args:
            at: from where it spoke; empty where this node called it.

        Raises:
            Forged: the node did not sign them.
            Busy: many that nobody has heard of speak from there.
        """
        if not record_fits(peer):
            return False
        if at:
            by = AT + at
            with self.lock:
                new = peer.id not in self._view.known and peer.id != self._index.self_id
                if new and not self._newcomers.may_come(at, self._clock()):
                    GOSSIP_REFUSED.labels("crowd").inc()
                    raise Busy(f"many newcomers come from {at}: try again in a moment")
        if peer.id == self._index.self_id:
            if self._identities.signed_by_self(peer):
                self.on_own_record(peer)
            return True
        verdict = self._identities.judge(peer)
        if verdict is IdentityVerdict.CONTESTED:
            return False
        with self.lock:
            if not peer.key and peer.id not in self._view.known:
                GOSSIP_REFUSED.labels("unsigned").inc()
                return False
            room = self._view.make_room(peer.id, by, alive=alive)
        if room.gone is not None:
            self._index.forget(room.gone)
        if not room.granted:
            GOSSIP_REFUSED.labels("crowd").inc()
            return False
        if verdict is IdentityVerdict.FIRST:
            self._index.logs.learn_key(peer.id, peer.key)
        with self.lock:
            self._view.learn(peer, self._clock(), alive=alive, by=by)
        self._begin(peer.id, peer.epoch)
        return True

    def _begin(self, peer_id: str, epoch: int) -> None:
        state = self._index.logs.state(peer_id)
        if state is not None and state.epoch < epoch and self._index.logs.begin(peer_id, epoch):
            log.info("%s lost its state and begins anew", peer_id)

    def apply(self, deltas: Iterable[Delta], bringer: str, *, middle: bool = False) -> bool:
        """Entries of logs, see :meth:`.Index.apply_all`; whether any were news.

        Raises:
            PeerMisbehaved: no honest node sends these.
        """
        taken: list[Delta] = []
        own = self._index.logs.own
        for delta in deltas:
            if delta.peer_id == self._index.self_id and (delta.epoch, delta.to_version) <= (
                own.epoch,
                own.version,
            ):
                # Written, and pushed to this peer, while it was answering what we had said before.
                continue
            if (
                delta.peer_id == self._index.self_id
                and delta.signature[:KEY] == self._index.logs.keys.own.key
            ):
                self._ahead(delta, bringer)
                own = self._index.logs.own
                continue
            with self.lock:
                known = self._view.known.get(delta.peer_id)
            if delta.peer_id != self._index.self_id and known is None:
                # Its record was refused here, or has made room: who brings its entries may not know that.
                GOSSIP_REFUSED.labels("unknown").inc()
                continue
            if known is not None and (delta.epoch < known.epoch or not word_fits(delta.epoch, 0)):
                continue
            taken.append(delta)
        if not taken:
            return False
        news = self._index.apply_all(taken, middle=middle)
        for delta in news:
            if delta.signature:
                self._parts.pop(delta.peer_id, None)
            else:
                self._parts.setdefault(delta.peer_id, set()).add(bringer)
        return bool(news)

    def _ahead(self, delta: Delta, bringer: str) -> None:
        """Somebody brings entries with this node's key that it does not have: written before an old copy of
        its disk was put back, or by a second node with its state. Or the bringer lies: that is seen when it
        goes on."""
        if not self.confirmed:
            self._renew(delta.epoch + 1)
            return
        self.contradicted()
        with self.lock:
            known = self._view.known.get(bringer)
        if known is not None and known.peer is not None:
            self._conduct.doubt(known.peer, "brings entries of this node's own log")

    def _proved_false(self, writer: str) -> None:
        """Some of those who brought parts of a log lied: nobody can say who."""
        bringers = self._parts.pop(writer, set())
        log.warning(
            "the parts of the log of %s that %s brought are false", writer, ", ".join(bringers) or "others"
        )
        for id_ in bringers:
            with self.lock:
                known = self._view.known.get(id_)
            if known is not None and known.peer is not None:
                self._conduct.doubt(known.peer, f"may have brought false entries of {writer}")
