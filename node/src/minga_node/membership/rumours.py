"""Sends news of logs at once to some peers, who send them on: rumour mongering. Rounds repair what it misses.

Demers et al., "Epidemic algorithms for replicated database maintenance" (1987). Used while no broker carries
the events.
"""

from __future__ import annotations

import logging
import math
import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, Future, as_completed
from contextlib import suppress

from minga_node.errors import MingaError
from minga_node.index import Delta, Index
from minga_node.index.log import ENTRY_BYTES
from minga_node.model import Peer
from minga_node.workers import Worker

log = logging.getLogger(__name__)

LARGEST_RUMOUR_BYTES = 256 * 1024
"""Bytes of news that are pushed; larger ones wait for the rounds."""
MANY = LARGEST_RUMOUR_BYTES // ENTRY_BYTES
"""Entries that are more than so many bytes, however short their names are."""
PAUSE = 0.01
"""Seconds that news wait for more to go with them."""
REST = 4
"""News wait up to so many times as long as the last telling took. Where many nodes publish at once, since all
of them fetched the same file, their news then travel together and leave the processors to other work."""
CREDIT = 0.2
"""Seconds of that rest that may be owed."""
LONGEST_REST_SECONDS = 0.5
"""Seconds that telling is waited for, and that is rested after it, at most."""


def how_many(peers: int, *, own: bool) -> int:
    """Peers that are told at once: all of a few; else enough that rumours reach nearly all of many."""
    if own and peers <= 8:
        return peers
    return min(peers, math.ceil(math.log2(peers + 1)) if own else 3)


class RumourSender:
    """Pushes what is new in the index to some peers at once, by the worker ``news``."""

    def __init__(
        self,
        index: Index,
        tell: Callable[[Peer, tuple[Delta, ...]], None],
        alive: Callable[[], Sequence[Peer]],
        eager: Callable[[], bool],
        pool: Executor,
    ) -> None:
        self._index, self._push_to, self._alive, self._eager, self._pool = index, tell, alive, eager, pool
        self._told = {peer: (state.epoch, state.version) for peer, state in index.logs.states().items()}
        self._news: set[str] = set()
        self._again: dict[str, int] = {}
        """Versions after which logs are to be told although they were."""
        self._lock = threading.Lock()
        self._owed, self._told_at = 0.0, time.monotonic()
        """Seconds of rest that are owed, and when it told last."""
        # What is not told now is found in the rounds: a longer pause helps nobody.
        self.worker = Worker("news", self._step, delay=None, longest_pause=LONGEST_REST_SECONDS)
        index.on_change.append(self._changed)

    def _changed(self, peer_id: str) -> None:
        with self._lock:
            self._news.add(peer_id)
        self.worker.wake()

    def tell_again(self, peer_id: str, version: int) -> None:
        """What came after ``version`` was left to the broker, and may not have got anywhere."""
        with self._lock:
            self._again[peer_id] = version
            self._news.add(peer_id)
        self.worker.wake()

    def _step(self) -> None:
        if self.worker.rest(PAUSE):
            return
        with self._lock:
            news, self._news = self._news, set()
            again, self._again = self._again, {}
        if not news:
            return
        began = time.monotonic()
        self._owed = max(0.0, self._owed - (began - self._told_at))
        _wait_for_half(self._tell(news, again))
        self._told_at = time.monotonic()
        self._owed += REST * (self._told_at - began)
        self.worker.rest(min(LONGEST_REST_SECONDS, max(0.0, self._owed - CREDIT)))

    def _tell(self, news: set[str], again: Mapping[str, int]) -> list[Future[None]]:
        """Sends news of the logs of some peers on their way."""
        own: list[Delta] = []
        others: list[Delta] = []
        for peer_id in news:
            state = self._index.logs.state(peer_id)
            if state is None:
                continue
            epoch, version = self._told.get(peer_id, (state.epoch, 0))
            version = min(version, again.get(peer_id, version))
            self._told[peer_id] = (state.epoch, state.version)
            if not self._eager() or state.version <= version or epoch != state.epoch:
                continue
            if version < state.compacted or state.version - version > MANY:
                # Tombstones between the two are gone, or there is more than fits: the rounds bring it.
                continue
            delta = self._index.logs.delta(peer_id, version, LARGEST_RUMOUR_BYTES)
            if delta is not None and delta.to_version >= state.version:
                (own if peer_id == self._index.self_id else others).append(delta)
        return [*self._spread(own, own=True), *self._spread(others, own=False)]

    def _spread(self, deltas: Sequence[Delta], *, own: bool) -> list[Future[None]]:
        if not deltas:
            return []
        names = {delta.peer_id for delta in deltas}
        peers = [peer for peer in self._alive() if peer.id not in names]
        chosen = random.sample(peers, how_many(len(peers), own=own))
        try:
            return [self._pool.submit(self._push, peer, tuple(deltas)) for peer in chosen]
        except RuntimeError:  # the node ends
            return []

    def _push(self, peer: Peer, deltas: tuple[Delta, ...]) -> None:
        try:
            self._push_to(peer, deltas)
        except MingaError as error:
            log.debug("news for %s: %s", peer.id, error)

    def stop(self) -> None:
        self.worker.stopping.set()
        self.worker.wake()


def _wait_for_half(told: Sequence[Future[None]]) -> None:
    """Until as many have heard as show how long it takes; some may never answer."""
    with suppress(TimeoutError):
        for heard, _ in enumerate(as_completed(told, LONGEST_REST_SECONDS), 1):
            if 2 * heard >= len(told):
                return
