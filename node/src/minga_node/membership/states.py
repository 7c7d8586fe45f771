"""Tells of peers that become suspected, die, leave or come back."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable

from minga_node.metrics import PEERS
from minga_node.model import PeerState, PeerStatus

log = logging.getLogger(__name__)


class States:
    """Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._states: dict[str, PeerState] = {}
        self.listeners: list[Callable[[PeerStatus], None]] = []

    def notice(self, statuses: Iterable[PeerStatus]) -> None:
        """Compares with what was told last."""
        counts = dict.fromkeys(PeerState, 0)
        changed: list[PeerStatus] = []
        with self._lock:
            for status in statuses:
                counts[status.state] += 1
                if self._states.get(status.peer.id) is not status.state:
                    self._states[status.peer.id] = status.state
                    changed.append(status)
        for state, count in counts.items():
            PEERS.labels(state.value).set(count)
        for status in changed:
            log.info("%s is %s", status.peer.id, status.state.value)
            for listener in self.listeners:
                listener(status)
