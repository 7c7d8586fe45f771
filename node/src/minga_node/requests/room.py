"""How much room other nodes have, asked rarely."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from minga_node.errors import MingaError
from minga_node.model import Peer

REMEMBER_SECONDS = 10.0


class PeerRoom:
    """Remembers the answers of ``ask`` (free bytes of a node; raises MingaError) for a few seconds."""

    def __init__(self, ask: Callable[[Peer], int], clock: Callable[[], float] = time.monotonic) -> None:
        self._ask, self._clock = ask, clock
        self._known: dict[str, tuple[float, int]] = {}

    def of(self, peers: Iterable[Peer], most: int) -> dict[str, int]:
        """Free bytes of those that answer, ``most`` of them at most."""
        now = self._clock()
        self._known = {peer: known for peer, known in self._known.items() if now < known[0]}
        found: dict[str, int] = {}
        for peer in peers:
            if len(found) >= most:
                break
            if peer.id not in self._known:
                try:
                    self._known[peer.id] = now + REMEMBER_SECONDS, self._ask(peer)
                except MingaError:
                    continue
            found[peer.id] = self._known[peer.id][1]
        return found
