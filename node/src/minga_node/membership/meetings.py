"""Whom this node meets: a few in each round, and who is known to have news."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from minga_node.errors import MingaError
from minga_node.membership.gossip import Gossip
from minga_node.membership.view import View
from minga_node.model import Peer, PeerState

log = logging.getLogger(__name__)


class Meetings:
    """Meets peers in the threads of a pool, each peer once at a time. Thread-safe.

    Args:
        fanout: live peers in each round.
        met: called with a peer after a round with it.
    """

    def __init__(
        self, gossip: Gossip, view: View, pool: ThreadPoolExecutor, fanout: int, met: Callable[[Peer], None]
    ) -> None:
        self._gossip, self._view, self._pool, self._fanout, self._met = gossip, view, pool, fanout, met
        self._lock = gossip.lock
        self._busy: set[str] = set()

    def begin(self, number: int) -> None:
        """Meets those whose turn it is in this round."""
        for peer in self._choose(number):
            self.submit(peer)

    def _choose(self, number: int) -> list[Peer]:
        with self._lock:
            now = time.monotonic()
            live = self._view.in_states(now, PeerState.ALIVE)
            doubtful = self._view.in_states(now, PeerState.SUSPECT)
            gone = self._view.in_states(now, PeerState.DEAD)
            left = self._view.in_states(now, PeerState.LEFT)
        chosen = random.sample(live, min(self._fanout, len(live)))
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
            self._met(peer)
        except MingaError as error:
            log.debug("gossip with %s: %s", peer.id, error)
        finally:
            with self._lock:
                self._busy.discard(peer.id)
