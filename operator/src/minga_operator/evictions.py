"""Pods that the kubelet evicted. The watch tells: their controller removes them within moments, so that a
look at the pods there are would miss most of them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from minga_operator.resources.common import INSTANCE, Object
from minga_operator.status import EVICTION_SECONDS
from minga_operator.workqueue import Key


@dataclass(frozen=True)
class Eviction:
    """One pod that was evicted."""

    pod: str
    uid: str
    message: str
    """The kubelet's, or where to find it."""


class Evictions:
    """Threads may share it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._seen: dict[Key, dict[str, tuple[float, Eviction]]] = {}
        self._told: set[str] = set()

    def notice(self, item: Object) -> None:
        """Takes in any object that a watch brings."""
        words = _kubelets_words(item) if item["kind"] == "Pod" else None
        if words is None:
            return
        metadata = item["metadata"]
        key = (metadata["namespace"], (metadata.get("labels") or {}).get(INSTANCE, ""))
        found = Eviction(metadata["name"], metadata["uid"], words)
        with self._lock:
            self._seen.setdefault(key, {}).setdefault(found.uid, (self._clock(), found))

    def recent(self, key: Key) -> list[Eviction]:
        """A network's, the oldest first."""
        now = self._clock()
        with self._lock:
            kept = {
                uid: (when, found)
                for uid, (when, found) in self._seen.get(key, {}).items()
                if now - when < EVICTION_SECONDS
            }
            self._told -= self._seen.get(key, {}).keys() - kept.keys()
            self._seen[key] = kept
            if not kept:
                del self._seen[key]
        return [found for _, found in kept.values()]

    def untold(self, key: Key) -> list[Eviction]:
        """Those of them that this was not asked for before."""
        found = self.recent(key)
        with self._lock:
            fresh = [item for item in found if item.uid not in self._told]
            self._told |= {item.uid for item in fresh}
        return fresh

    def forget(self, key: Key) -> None:
        """The network is gone."""
        with self._lock:
            self._told -= self._seen.pop(key, {}).keys()


def _kubelets_words(pod: Object) -> str | None:
    """Why the kubelet evicted a pod; None if it did not.

    A pod whose containers all stop in time and exit with 0 ends with the phase Succeeded, and without reason
    and message. It is told by that end: with the restart policy Always a pod succeeds only when the kubelet
    ends it, and here nobody has deleted it.
    """
    state = pod.get("status") or {}
    match state.get("phase"):
        case "Failed" if state.get("reason") == "Evicted":
            return str(state.get("message", "")).strip()
        case "Succeeded":
            always = (pod.get("spec") or {}).get("restartPolicy") == "Always"
            if not always or pod["metadata"].get("deletionTimestamp"):
                return None
            for condition in state.get("conditions") or ():
                if condition["type"] == "DisruptionTarget" and condition.get("message"):
                    return str(condition["message"]).strip()
            return "the kubelet ended it, though nobody had deleted it; the pod's Events say why"
    return None
