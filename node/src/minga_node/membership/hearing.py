"""What others say: digests, records and entries get into this node's view and index, or are refused."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence

from minga_node.errors import PeerMisbehaved
from minga_node.index import Delta, Index
from minga_node.membership.bounds import digest_fits, record_fits, word_fits
from minga_node.membership.claims import Claims
from minga_node.membership.identities import Identities, Verdict
from minga_node.membership.scuttlebutt import Digest
from minga_node.membership.view import View
from minga_node.model import Peer

log = logging.getLogger(__name__)


class Hearing:
    """Thread-safe.

    Args:
        lock: guards the view.
    """

    def __init__(
        self,
        index: Index,
        view: View,
        lock: threading.RLock,
        identities: Identities,
        claims: Claims,
        clock: Callable[[], float],
    ) -> None:
        self._index, self._view, self.lock = index, view, lock
        self._identities, self._claims, self._clock = identities, claims, clock
        self._parts: dict[str, set[str]] = {}
        """Who brought parts of a log whose end has not come yet, by the log's writer."""
        index.logs.on_false.append(self._proved_false)

    def take(self, digests: Iterable[Digest], peers: Sequence[Peer]) -> None:
        """What is said of nodes.

        Raises:
            PeerMisbehaved, Forged
        """
        digests = tuple(digests)
        if any(not digest.id or len(digest.id) > 128 or digest.epoch <= 0 for digest in digests):
            raise PeerMisbehaved("a digest of nobody")
        digests = tuple(filter(digest_fits, digests))
        logs = self._index.logs
        now = self._clock()
        for peer in peers:
            self.learn(peer)
        with self.lock:
            news = self._view.merge(filter(self._may_be, digests), logs.own, now)
        if news.own_epoch is not None:
            log.warning("others know more of this node's files than itself: it begins a new epoch")
            logs.renew(max(news.own_epoch, time.time_ns() // 1000))
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

    def _may_be(self, digest: Digest) -> bool:
        """Whether a digest's epoch is one that its node has signed, if it signs. With the lock held."""
        if digest.id == self._index.self_id or not self._identities.signs(digest.id):
            return True
        known, state = self._view.known.get(digest.id), self._index.logs.state(digest.id)
        recorded = known.peer.epoch if known is not None and known.peer is not None else 0
        return digest.epoch <= max(recorded, state.epoch if state is not None and state.signature else 0)

    def learn(self, peer: Peer, *, alive: bool = False) -> bool:
        """Takes a node's addresses; ``alive`` says that it spoke itself just now. False where the name is
        another node's, or its times lie years ahead.

        Raises:
            Forged: the node did not sign them.
        """
        if peer.id == self._index.self_id:
            return True
        if not record_fits(peer):
            return False
        verdict = self._identities.judge(peer)
        if verdict is Verdict.CONTESTED:
            return False
        if verdict is Verdict.FIRST:
            self._index.logs.learn_key(peer.id, peer.key)
        with self.lock:
            self._view.learn(peer, self._clock(), alive=alive)
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
            with self.lock:
                known = self._view.known.get(delta.peer_id)
            if delta.peer_id != self._index.self_id and known is None:
                raise PeerMisbehaved(f"entries of {delta.peer_id[:128]!r}, of whom nothing is known")
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
                self._claims.doubt(known.peer, f"may have brought false entries of {writer}")
