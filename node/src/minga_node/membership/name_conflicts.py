"""Whose a name is when two keys claim it: its node is asked whether it still lives."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import suppress

from minga_node.errors import MingaError
from minga_node.index import Index
from minga_node.membership.identities import Identities
from minga_node.membership.messages import GossipCalls
from minga_node.membership.view import View
from minga_node.model import Peer, PeerState

log = logging.getLogger(__name__)


class NameConflicts:
    """Calls other nodes. Thread-safe.

    Args:
        lock: guards the view.
        own: this node's record.
    """

    def __init__(
        self,
        index: Index,
        view: View,
        lock: threading.RLock,
        identities: Identities,
        calls: GossipCalls,
        network: str,
        own: Callable[[], Peer],
        clock: Callable[[], float],
    ) -> None:
        self._index, self._view, self._lock, self._identities = index, view, lock, identities
        self._calls, self._network, self._own, self._clock = calls, network, own, clock

    @property
    def contested(self) -> bool:
        """Whether somebody claims a name with another key than its node's."""
        return self._identities.any_contested

    def settle(self) -> None:
        """Asks the nodes whose names others claim with another key whether they still live; those that do not
        lose them. Calls other nodes."""
        for claim in self._identities.contested():
            self._settle(claim)

    def _settle(self, claim: Peer) -> None:
        with self._lock:
            known = self._view.known.get(claim.id)
            state = self._view.state(claim.id, self._clock())
        answer = None
        if known is not None and known.peer is not None:
            with suppress(MingaError):
                answer = self._calls.join(known.peer.grpc_target, self._network, self._own()).self
        gone = state in {None, PeerState.DEAD, PeerState.LEFT}
        moved_in = answer is not None and (answer.id, answer.key) == (claim.id, claim.key)
        if self._identities.lives(claim, answer) or not (gone or moved_in):
            return
        log.warning("%s has another key: its node is gone, and another one has the name now", claim.id)
        self._index.forget(claim.id)
        if claim.key:
            self._index.logs.learn_key(claim.id, claim.key)
        with self._lock:
            self._view.replace(claim, self._clock())
