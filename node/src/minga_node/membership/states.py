"""Tells of peers that become suspected, die, leave or come back."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping

from minga_node.metrics import PEERS
from minga_node.model import PeerState, PeerStatus

log = logging.getLogger(__name__)


class States:
    """The state that each peer was last seen in; listeners hear of changes. Any thread may call."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._states: dict[str, PeerState] = {}
        self.listeners: list[Callable[[PeerStatus], None]] = []

    def forget(self, id_: str) -> None:
        with self._lock:
            self._states.pop(id_, None)

    def notice(self, states: Mapping[str, PeerState], about: Callable[[str], PeerStatus | None]) -> None:
        """Compares with what was told last; ``about`` says more of one that has changed."""
        counts = dict.fromkeys(PeerState, 0)
        names: list[str] = []
        with self._lock:
            for id_, state in states.items():
                counts[state] += 1
                if self._states.get(id_) is not state:
                    self._states[id_] = state
                    names.append(id_)
        changed = [status for id_ in names if (status := about(id_)) is not None]
        for state, count in counts.items():
            PEERS.labels(state.value).set(count)
        for status in changed:
            log.info("%s is %s", status.peer.id, status.state.value)
            for listener in self.listeners:
                listener(status)
