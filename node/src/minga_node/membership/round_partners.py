"""Whom this node meets: a few in each round, and who is known to have news."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from minga_node.errors import MingaError, PeerUnreachable
from minga_node.membership.answering import Reachability
from minga_node.membership.gossip import Gossip
from minga_node.membership.view import View
from minga_node.model import Peer, PeerState

log = logging.getLogger(__name__)


class RoundPartners:
    """Meets peers in the threads of a pool, each peer once at a time. Thread-safe.

    Args:
        fanout: live peers in each round.
        met: called with a peer after a round with it.
        answering: is told who answers.
    """

    def __init__(
        self,
        gossip: Gossip,
        view: View,
        pool: ThreadPoolExecutor,
        fanout: int,
        met: Callable[[Peer], None],
        answering: Reachability,
    ) -> None:
        self._gossip, self._view, self._pool, self._fanout, self._met = gossip, view, pool, fanout, met
        self._answering = answering
        self._lock = gossip.lock
        self._busy: set[str] = set()

    def begin(self, number: int) -> None:
        """Meets those whose turn it is in this round."""
        for peer in self._choose(number):
            self.submit(peer)

    def _choose(self, number: int) -> list[Peer]:
        with self._lock:
            now = time.monotonic()
            found = self._view.by_state(now)
            live, doubtful, gone, left = (found[state] for state in PeerState)
            proven = [peer for peer in live if self._view.proven(peer.id)]
        chosen = random.sample(live, min(self._fanout, len(live)))
        if proven and not {peer.id for peer in chosen} & {peer.id for peer in proven}:
            # Names can be invented, and none of those answers.
            chosen[-1] = random.choice(proven)
        failing = self._answering.failing()
        if failing and number % 2:
            silent = [peer for peer in live if peer.id in failing and peer not in chosen]
            chosen += random.sample(silent, min(1, len(silent)))
        # The suspected get a chance to say that they live; one dead one is tried, for a cut that has healed.
        chosen += random.sample(doubtful, min(2, len(doubtful)))
        chosen += random.sample(gone, min(1, len(gone)))
        if number % 10 == 5:
            chosen += random.sample(left, min(1, len(left)))
        return chosen

    def submit(self, peer: Peer) -> None:
        """Meets a peer soon, if it is not being met already."""
        with self._lock:
            if peer.id in self._busy:
                return
            self._busy.add(peer.id)
        try:
            self._pool.submit(self._meet, peer)
        except RuntimeError:
            self._busy.discard(peer.id)

    def _meet(self, peer: Peer) -> None:
        try:
            self._gossip.meet(peer)
            self._answering.answered(peer.id)
            self._met(peer)
        except PeerUnreachable as error:
            self._failed(peer)
            log.debug("gossip with %s: %s", peer.id, error)
        except MingaError as error:
            self._answering.answered(peer.id)
            log.debug("gossip with %s: %s", peer.id, error)
        finally:
            with self._lock:
                self._busy.discard(peer.id)

    def _failed(self, peer: Peer) -> None:
        now = time.monotonic()
        with self._lock:
            state = self._view.state(peer.id, now)
        if state in {PeerState.ALIVE, PeerState.SUSPECT}:
            self._answering.failed(peer.id, now)
        else:
            self._answering.answered(peer.id)
