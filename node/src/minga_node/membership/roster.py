"""Which other nodes there are and which of them give anything, for the rest of the node."""

from __future__ import annotations

import threading
import time
from dataclasses import replace

from minga_node.membership.answering import Answers, Reachability
from minga_node.membership.view import View
from minga_node.model import Peer, PeerState, PeerStatus


class Roster:
    """Answers from the view, whose lock it takes. Any thread may ask.

    Args:
        lock: guards the view.
        answering: which nodes answer this node's calls.
    """

    def __init__(self, view: View, lock: threading.RLock, answering: Reachability) -> None:
        self._view, self._lock, self._answering = view, lock, answering

    def is_online(self, peer_id: str) -> bool:
        """Whether a node is there and answers: of this node, whether it has not left."""
        if peer_id == self._view.self_id:
            return not self._view.left
        # Suspected is not dead: its files stay available until it is sure. Who does not answer gives nothing.
        now = time.monotonic()
        return (
            self._view.state(peer_id, now) in {PeerState.ALIVE, PeerState.SUSPECT}
            and self._answering.of(peer_id, now) is Answers.YES
        )

    def alive(self) -> tuple[Peer, ...]:
        """All other nodes that are alive or only suspected."""
        with self._lock:
            return tuple(self._view.in_states(time.monotonic(), PeerState.ALIVE, PeerState.SUSPECT))

    def get(self, peer_id: str) -> Peer | None:
        """Another node's record; None where it has told none."""
        with self._lock:
            known = self._view.known.get(peer_id)
            return known.peer if known else None

    def statuses(self) -> tuple[PeerStatus, ...]:
        """What is thought of each node whose addresses are known, by id."""
        now = time.monotonic()
        with self._lock:
            found = self._view.statuses(now)
        failing = self._answering.failing()
        return tuple(
            replace(status, answers=self._answering.of(status.peer.id, now).value)
            if status.peer.id in failing
            else status
            for status in found
        )
