"""Before a node goes: what only it has is taken over by others, who are asked to fetch it."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

from minga_node.index import Index
from minga_node.membership import Membership
from minga_node.model import Holder, LocalFile, Peer, PeerState
from minga_node.workers import Worker

log = logging.getLogger(__name__)

Ask = Callable[[Peer, LocalFile], bool]
"""Asks a peer to fetch a file; whether it will."""

_ROUND_SECONDS = 1.0
_PATIENCE_SECONDS = 120.0
"""After so long without the copy, another peer is asked too."""
_AT_ONCE = 16
"""Files asked for and not yet seen elsewhere: the rest wait, so that the first ones arrive whole."""


@dataclass(frozen=True, slots=True)
class DrainState:
    """How far it is."""

    draining: bool
    files: int
    """Names whose content no other node that stays has completely."""
    bytes: int
    checked: bool
    """Whether that was counted since the drain began."""

    @property
    def done(self) -> bool:
        """Whether this node may go and nothing is lost."""
        return self.draining and self.checked and self.files == 0


def elsewhere(holders: Iterable[Holder], self_id: str, leaving: Collection[str]) -> bool:
    """Whether a node that stays has the whole content and is online."""
    return any(
        holder.complete and holder.online and holder.peer_id != self_id and holder.peer_id not in leaving
        for holder in holders
    )


def order(peers: Sequence[Peer], load: Counter[str], refused: Collection[str]) -> list[Peer]:
    """Whom to ask, the least loaded first; who has refused this file is not asked again."""
    return sorted(
        (peer for peer in peers if peer.id not in refused), key=lambda peer: (load[peer.id], peer.id)
    )


class Drain:
    """Runs from the first request until the process ends; files added meanwhile are handed over too.

    Args:
        ask: asks a peer to fetch a file.
        looked: whether the whole directory has been looked at since the start. Before, it may hold what
            is not in the index: nothing is counted then.
    """

    def __init__(
        self,
        index: Index,
        membership: Membership,
        ask: Ask,
        self_id: str,
        looked: Callable[[], bool] = lambda: True,
    ) -> None:
        self._index, self._membership, self._ask, self._self_id = index, membership, ask, self_id
        self._looked = looked
        self._lock = threading.Lock()
        self._draining = False
        self.worker = Worker("drain", self._round, interval=_ROUND_SECONDS)
        self._leaving: frozenset[str] = frozenset()
        self._state = DrainState(draining=False, files=0, bytes=0, checked=False)
        self._asked: dict[str, float] = {}
        self._refused: dict[str, set[str]] = {}
        self._load: Counter[str] = Counter()

    def start(self, leaving: Iterable[str] = ()) -> DrainState:
        """Begins, or takes note that other peers leave as well: what they have does not count."""
        with self._lock:
            news = frozenset(leaving) - {self._self_id}
            if news != self._leaving or not self._draining:
                self._leaving = news
                self._state = DrainState(draining=True, files=0, bytes=0, checked=False)
            if not self._draining:
                self._draining = True
                log.info("draining: what only this node has is handed over")
                self.worker.start()
        return self.state()

    def state(self) -> DrainState:
        with self._lock:
            return self._state

    def stop(self) -> None:
        self.worker.stop(1.0)

    def _round(self) -> None:
        if not self._looked():
            return
        with self._lock:
            leaving = self._leaving
        unique = {
            file.id: file
            for file in self._index.local().values()
            if file.complete and not elsewhere(self._index.holders(file.id), self._self_id, leaving)
        }
        with self._lock:
            if leaving != self._leaving:
                return
            total = sum(file.size for file in unique.values())
            self._state = DrainState(draining=True, files=len(unique), bytes=total, checked=True)
        now = time.monotonic()
        self._asked = {key: when for key, when in self._asked.items() if key in unique}
        waiting = sum(now - when < _PATIENCE_SECONDS for when in self._asked.values())
        for file in unique.values():
            if waiting >= _AT_ONCE or self.worker.stopping.is_set():
                return
            if now - self._asked.get(file.id, float("-inf")) >= _PATIENCE_SECONDS and self._hand_over(
                file, leaving
            ):
                self._asked[file.id] = now
                waiting += 1

    def _hand_over(self, file: LocalFile, leaving: Collection[str]) -> bool:
        peers = [
            status.peer
            for status in self._membership.statuses()
            if status.state is PeerState.ALIVE and status.peer.id not in leaving
        ]
        refused = self._refused.setdefault(file.id, set())
        for peer in order(peers, self._load, refused):
            refused.add(peer.id)
            if self._ask(peer, file):
                self._load[peer.id] += file.size
                return True
        # Everybody was asked: begin anew, for reasons pass (a full disk, a node that was starting).
        refused.clear()
        return False
