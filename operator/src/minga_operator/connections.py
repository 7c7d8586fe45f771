"""Whether nodes have their broker, as they say themselves. Asked while one has not, and now and then."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from minga_operator.draining import running
from minga_operator.network import Network
from minga_operator.nodes import Nodes
from minga_operator.observed import Said
from minga_operator.resources.common import COMPONENT, PEER, SEED, Object
from minga_operator.workqueue import Key

_AT_ONCE = 4
"""So many nodes of a network are asked at a time: each answers in milliseconds, or keeps us for seconds."""


@dataclass
class _Heard:
    """One pod's last word."""

    uid: str
    asked: float
    answer: Said | None = None
    """None: it has not answered yet."""
    since: float = 0.0


class Connections:
    """Threads may share it. Nobody is asked while the lock is held."""

    def __init__(self, nodes: Nodes, clock: Callable[[], float] = time.monotonic) -> None:
        self._nodes, self._clock = nodes, clock
        self._lock = threading.Lock()
        self._heard: dict[Key, dict[str, _Heard]] = {}

    def ask(self, network: Network, pods: Sequence[Object], *, everybody: bool) -> bool:
        """Asks some nodes; returns whether the answers are news.

        Args:
            pods: the network's.
            everybody: those too that said that all is well; the one asked longest ago comes first.
        """
        ready = _nodes(pods)
        with self._lock:
            heard = self._heard.setdefault(network.key, {})
            for name in [name for name, one in heard.items() if ready.get(name, ("", ""))[0] != one.uid]:
                del heard[name]
            for name, (uid, _) in ready.items():
                heard.setdefault(name, _Heard(uid, 0.0))
            due = [name for name in ready if everybody or not _well(heard[name])]
            due = sorted(due, key=lambda name: heard[name].asked)[:_AT_ONCE]
            for name in due:
                heard[name].asked = self._clock()
        answers = {name: self._nodes.broker(ready[name][1]) for name in due}
        with self._lock:
            news = [name for name, answer in answers.items() if self._hear(network.key, name, answer)]
        return bool(news)

    def said(self, network: Network, pods: Sequence[Object]) -> Mapping[str, Said]:
        """What those that are ready said last, by pod."""
        ready, now = _nodes(pods), self._clock()
        with self._lock:
            heard = self._heard.get(network.key, {})
            return {
                name: replace(one.answer, seconds=now - one.since)
                for name, one in heard.items()
                if one.answer is not None and ready.get(name, ("", ""))[0] == one.uid
            }

    def forget(self, key: Key) -> None:
        """The network is gone."""
        with self._lock:
            self._heard.pop(key, None)

    def _hear(self, key: Key, name: str, answer: Said | None) -> bool:
        """Takes in an answer, under the lock; returns whether it is news."""
        known = self._heard.get(key, {}).get(name)
        if answer is None or known is None or answer == known.answer:
            return False
        if known.answer is None or known.answer.connected != answer.connected:
            known.since = self._clock()
        known.answer = answer
        return True


def _well(heard: _Heard) -> bool:
    return heard.answer is not None and heard.answer.connected


def _nodes(pods: Sequence[Object]) -> dict[str, tuple[str, str]]:
    """Uid and address of each node that can be asked, by pod."""
    uids = {
        pod["metadata"]["name"]: str(pod["metadata"].get("uid", ""))
        for pod in pods
        if (pod["metadata"].get("labels") or {}).get(COMPONENT) in {SEED, PEER}
        and "deletionTimestamp" not in pod["metadata"]
    }
    return {name: (uids[name], address) for name, address in running(pods, uids).items()}
