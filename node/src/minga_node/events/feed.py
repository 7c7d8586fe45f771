"""What happens in the network, as this node hears of it, for whoever follows right now."""

from __future__ import annotations

import queue
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import suppress

from minga_node.events.cloud import Event, make
from minga_node.events.files import events_of
from minga_node.index import Delta
from minga_node.model import PeerStatus
from minga_node.store import Store

WAITING = 10_000
"""Events that may wait for one follower; one that is slower than that misses some."""


class Feed:
    """Hands events to followers. Entries of logs come here by whichever channel they came, once each."""

    def __init__(self, network: str, store: Store) -> None:
        self._network, self._store = network, store
        self._lock = threading.Lock()
        self._followers: list[queue.Queue[Event]] = []

    def put(self, event: Event) -> None:
        with self._lock:
            followers = list(self._followers)
        for follower in followers:
            with suppress(queue.Full):
                follower.put_nowait(event)

    def on_entries(self, _db: sqlite3.Connection, delta: Delta) -> None:
        """A hook of the logs: tells of entries once they are committed."""
        if not self._followers:
            return

        def tell(committed: bool) -> None:
            if committed:
                for event in events_of(self._network, delta):
                    self.put(event)

        self._store.at_end(tell)

    def on_state(self, status: PeerStatus) -> None:
        """A listener of the membership: ``peer.alive``, ``peer.suspect``, ``peer.dead`` and ``peer.left``."""
        peer = status.peer
        self.put(make(self._network, f"peer.{status.state}", peer.id, peer=peer.id, epoch=peer.epoch))

    def follow(self, patience: float) -> Iterator[Event | None]:
        """Events from now on, without end; ``None`` whenever there was none for ``patience`` seconds."""
        box: queue.Queue[Event] = queue.Queue(WAITING)
        with self._lock:
            self._followers.append(box)
        try:
            while True:
                try:
                    yield box.get(timeout=patience)
                except queue.Empty:
                    yield None
        finally:
            with self._lock:
                self._followers.remove(box)
