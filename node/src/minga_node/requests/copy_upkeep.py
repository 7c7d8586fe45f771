"""The network's target: keeps as many copies of this node's contents as the configuration wants."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence

from minga_node.index import Index
from minga_node.model import Peer
from minga_node.requests.keeping import Copy, Keeper, Scarce
from minga_node.requests.presence import Presence
from minga_node.requests.replication import Replications
from minga_node.workers import Worker

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
REST_FACTOR = 50
"""A look that took a second is followed by so many seconds without one: it costs at most 2 % of a core."""
PAGE = 1000
"""Contents that one look considers; the next look goes on behind them."""
ASIDE_SECONDS = 300.0
"""How long a content that nobody has room for lets others go first."""


class CopyUpkeep:
    """Asks for copies of contents that have too few; it never removes any.

    Args:
        alive: the other nodes that are online.
        joined: whether this node is in the network; before that it cannot know who has what.
        target: complete copies that each content should have.
        delay: seconds that a holder may be away before its copies are replaced.
    """

    def __init__(
        self,
        index: Index,
        replications: Replications,
        presence: Presence,
        alive: Callable[[], Sequence[Peer]],
        joined: Callable[[], bool],
        target: int,
        delay: float,
    ) -> None:
        self._index, self._replications, self._presence = index, replications, presence
        self._alive, self._joined, self._target = alive, joined, target
        self._keeper = Keeper(index.self_id, target, delay)
        self._after = ""
        self._aside: dict[str, float] = {}
        """When contents that nobody has room for may be tried again."""
        self._known: set[str] = set()
        """Nodes that were online at the last look."""
        self.worker = Worker("upkeep", self._step, delay=LOOK_SECONDS)

    def start(self) -> None:
        if self._target > 1:
            self.worker.start()

    def stop(self) -> None:
        self.worker.stop()

    def _step(self) -> float:
        began = time.monotonic()
        if self._joined():
            self._look(began)
        return max(LOOK_SECONDS, REST_FACTOR * (time.monotonic() - began))

    def _look(self, now: float) -> None:
        away = self._presence.away()
        found = self._index.scarce(self._presence.counts(), self._target, self._after, PAGE)
        after, self._after = self._after, max(found) if len(found) == PAGE else ""
        busy = self._running(now)
        scarce = [
            Scarce(id_, tuple(Copy(held.peer_id, held.modified_ms, away(held.peer_id)) for held in copies))
            for id_, copies in found.items()
            if id_ not in self._aside
        ]
        for content_id in self._keeper.look(now, scarce, busy, after, self._after):
            log.info("%s has too few copies: asking for %d in all", content_id, self._target)
            self._replications.request(content_id, self._target, upkeep=True)

    def _running(self, now: float) -> set[str]:
        """Contents that are being copied for the target. Requests that lead to nothing are taken back."""
        alive = {peer.id for peer in self._alive()}
        newcomers, self._known = alive - self._known, alive
        # A newcomer may have room for what nobody had.
        self._aside = {} if newcomers else {key: until for key, until in self._aside.items() if now < until}
        own = self._index.self_id
        running: set[str] = set()
        for each in self._replications.running():
            if not each.upkeep:
                continue
            mine = any(h.peer_id == own and h.complete for h in self._index.holders(each.content_id))
            if each.problem:
                self._aside[each.content_id] = now + ASIDE_SECONDS
            if each.problem or not mine:
                self._replications.cancel(each.id)
            else:
                running.add(each.content_id)
        return running
