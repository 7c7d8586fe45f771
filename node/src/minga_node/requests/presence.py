"""Who counts as a holder while it is away."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from minga_node.model import PeerState, PeerStatus


class Presence:
    """Nodes that restart are no reason to copy what they have.

    Args:
        statuses: the other nodes.
        delay: seconds that a holder may be away before it counts no more.
    """

    def __init__(
        self,
        self_id: str,
        statuses: Callable[[], Sequence[PeerStatus]],
        delay: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._self_id, self._statuses, self._delay, self._clock = self_id, statuses, delay, clock
        self._began = clock()

    def away(self) -> Callable[[str], float]:
        """Seconds since a node was last heard of, as it is now; 0 while it is online.

        Whom this process has not heard counts as away since it began: nobody is thought lost because this
        node slept.
        """
        uptime = max(self._clock() - self._began, 1e-3)
        known = {self._self_id: 0.0}
        for status in self._statuses():
            online = status.state in {PeerState.ALIVE, PeerState.SUSPECT}
            known[status.peer.id] = 0.0 if online else max(min(status.silent, uptime), 1e-3)
        return lambda peer_id: known.get(peer_id, uptime)

    def counts(self) -> Callable[[str], bool]:
        """Whether a node is online or was a moment ago."""
        away = self.away()
        return lambda peer_id: away(peer_id) == 0 or away(peer_id) < self._delay
