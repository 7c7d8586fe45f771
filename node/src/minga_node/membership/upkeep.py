"""What a node looks at now and then: where it is, who is gone and for how long, and which network this is."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence

from minga_node.errors import Conflict, NotFound
from minga_node.index import Index
from minga_node.membership.address import OwnAddress
from minga_node.membership.answering import Reachability
from minga_node.membership.known_members import GONE
from minga_node.membership.network_id import NetworkId
from minga_node.membership.states import States
from minga_node.membership.view import View
from minga_node.model import Peer

log = logging.getLogger(__name__)

FOUND_SECONDS = 60.0
"""How long a node waits for a peer to tell it the network's id, before one of them makes it."""


class MembershipUpkeep:
    """Forgets who is gone for long; settles this node's address and the network's id. Any thread may call.

    Args:
        lock: guards the view.
        alive: all peers that are alive.
        address: where this node says that it is; None where that is settled elsewhere.
        left_seconds, dead_seconds: after which who left, or died, is forgotten.
    """

    def __init__(
        self,
        index: Index,
        view: View,
        lock: threading.RLock,
        alive: Callable[[], Sequence[Peer]],
        answering: Reachability,
        noticed: States,
        network_id: NetworkId,
        address: OwnAddress | None,
        *,
        left_seconds: float,
        dead_seconds: float,
    ) -> None:
        self._index, self._view, self._lock, self._alive = index, view, lock, alive
        self._answering, self._noticed, self._network_id = answering, noticed, network_id
        self._address = address
        self.left_seconds, self._dead_seconds = left_seconds, dead_seconds
        self._began = time.monotonic()

    def look_around(self, *, joined: bool) -> None:
        """What need not be looked at in every round."""
        alive = self._alive()
        self._find_address(alive)
        now = time.monotonic()
        states = self._index.logs.states()
        with self._lock:
            self._view.settle(states, now)
        if not self._network_id.value and joined and now - self._began > FOUND_SECONDS:
            # All came from a release without ids: one of them makes it.
            newer = [peer.id for peer in alive if peer.born]
            if self._index.self_id < min(newer, default="\x7f"):
                self._network_id.make()

    def contact(self, remote: str) -> None:
        """A seed was reached at this address."""
        if self._address is not None:
            self._address.met(remote)
            self._find_address(self._alive())

    def _find_address(self, alive: Sequence[Peer]) -> None:
        if self._address is not None and self._address.renew(peer.host for peer in alive):
            with self._lock:
                self._view.restart(time.time_ns() // 1_000_000)

    def forget_old(self) -> None:
        """Forgets who has been gone for too long."""
        with self._lock:
            gone = self._view.forgettable(time.monotonic(), left=self.left_seconds, dead=self._dead_seconds)
            for id_ in gone:
                self._view.drop(id_)
        for id_ in gone:
            log.info("%s has been gone for too long: forgotten", id_)
            self._forgotten(id_)

    def forget(self, id_: str) -> None:
        """Forgets a node that is gone, here, until it lives again.

        Raises:
            NotFound: nobody of this name is known.
            Conflict: it lives.
        """
        with self._lock:
            state = self._view.state(id_, time.monotonic())
            if state is None:
                raise NotFound(f"no node {id_} is known here")
            if state not in GONE:
                raise Conflict(f"{id_} is {state.value}: only who is dead or left can be forgotten")
            self._view.drop(id_)
        self._forgotten(id_)

    def _forgotten(self, id_: str) -> None:
        self._index.forget(id_)
        self._answering.answered(id_)
        self._noticed.forget(id_)
