"""What happens in the network, as this node hears of it, for whoever follows right now."""

from __future__ import annotations

import sqlite3
import threading
from collections import deque
from collections.abc import Iterator

from minga_node.events.cloud import Event, make
from minga_node.events.files import events_of
from minga_node.index import Delta
from minga_node.model import PeerStatus
from minga_node.store import Store
from minga_node.streams import Pause, Signal

WAITING = 10_000
"""Events that may wait for one follower; one that is slower than that misses some."""


class Feed:
    """Hands events to followers. Entries of logs come here by whichever channel they came, once each."""

    def __init__(self, network: str, store: Store) -> None:
        self._network, self._store = network, store
        self._lock = threading.Lock()
        self._followers: list[_Follower] = []
        self._telling = threading.Lock()
        self._committed: deque[Delta] = deque()
        """What has not been told yet, in the order of the commits."""

    def put(self, event: Event) -> None:
        with self._lock:
            followers = list(self._followers)
        for follower in followers:
            follower.put(event)

    def on_entries(self, _db: sqlite3.Connection, delta: Delta) -> None:
        """A hook of the logs: tells of entries once they are committed."""
        if not self._followers:
            return

        self._store.at_end(lambda committed: self._committed.append(delta) if committed else None)
        self._store.after_commit(self._tell)

    def _tell(self) -> None:
        with self._telling:
            while self._committed:
                for event in events_of(self._network, self._committed.popleft()):
                    self.put(event)

    def on_state(self, status: PeerStatus) -> None:
        """A listener of the membership: ``peer.alive``, ``peer.suspect``, ``peer.dead`` and ``peer.left``."""
        peer = status.peer
        self.put(make(self._network, f"peer.{status.state}", peer.id, peer=peer.id, epoch=peer.epoch))

    def follow(self, patience: float) -> Iterator[Event | Pause | None]:
        """Events from now on, without end; a pause where there is none, and ``None`` after each pause."""
        follower = _Follower()
        with self._lock:
            self._followers.append(follower)
        try:
            while True:
                seen = follower.news.version
                if follower.waiting:
                    yield follower.waiting.popleft()
                else:
                    yield Pause(patience, follower.news, seen)
                    yield None
        finally:
            with self._lock:
                self._followers.remove(follower)


class _Follower:
    def __init__(self) -> None:
        self.waiting: deque[Event] = deque()
        self.news = Signal()

    def put(self, event: Event) -> None:
        if len(self.waiting) < WAITING:
            self.waiting.append(event)
        self.news.notify()
