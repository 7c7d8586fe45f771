"""Pods that the kubelet evicted, and containers that were killed for lack of memory.

The watch tells: controllers remove an evicted pod within moments, and a container that was killed runs again
soon, so that a look at the pods there are would miss most of them.
"""

from __future__ import annotations

import datetime
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from minga_operator.draining import FORMAT, seconds_between
from minga_operator.resources.common import INSTANCE, Object
from minga_operator.troubles import containers
from minga_operator.verdicts import EVICTION_SECONDS
from minga_operator.workqueue import Key

_JUST_NOW_SECONDS = 300.0


@dataclass(frozen=True)
class Eviction:
    """One pod that was evicted, or lost a container."""

    pod: str
    uid: str
    """The pod's; of a container, with its name and its end."""
    message: str
    """The kubelet's, or where to find it."""
    reason: str = "PodEvicted"
    """Of the Event that tells it; the other is `PodOOMKilled`."""


class Evictions:
    """Threads may share it."""

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime.datetime] = lambda: datetime.datetime.now(datetime.UTC),
    ) -> None:
        self._clock, self._now = clock, now
        self._lock = threading.Lock()
        self._seen: dict[Key, dict[str, tuple[float, Eviction]]] = {}
        self._told: set[str] = set()

    def notice(self, item: Object) -> None:
        """Takes in any object that a watch brings."""
        if item["kind"] != "Pod":
            return
        metadata, words = item["metadata"], _kubelets_words(item)
        key = (metadata["namespace"], (metadata.get("labels") or {}).get(INSTANCE, ""))
        found = _killed(item, self._now())
        if words is not None:
            found.append(Eviction(metadata["name"], metadata["uid"], words))
        with self._lock:
            for one in found:
                self._seen.setdefault(key, {}).setdefault(one.uid, (self._clock(), one))

    def recent(self, key: Key) -> list[Eviction]:
        """A network's pods that were evicted, the oldest first."""
        return [found for found in self._recent(key) if found.reason == "PodEvicted"]

    def _recent(self, key: Key) -> list[Eviction]:
        now = self._clock()
        with self._lock:
            kept = {
                uid: (when, found)
                for uid, (when, found) in self._seen.get(key, {}).items()
                if now - when < EVICTION_SECONDS
            }
            self._told -= self._seen.get(key, {}).keys() - kept.keys()
            self._seen.pop(key, None)
            if kept:
                self._seen[key] = kept
        return [found for _, found in kept.values()]

    def untold(self, key: Key) -> list[Eviction]:
        """What happened to a network's pods, and this was not asked for before."""
        found = self._recent(key)
        with self._lock:
            fresh = [item for item in found if item.uid not in self._told]
            self._told |= {item.uid for item in fresh}
        return fresh

    def forget(self, key: Key) -> None:
        """The network is gone."""
        with self._lock:
            self._told -= self._seen.pop(key, {}).keys()


def _killed(pod: Object, now: datetime.datetime) -> list[Eviction]:
    """Containers that were killed for lack of memory just now, not before this process began to look."""
    moment = now.strftime(FORMAT)
    found = []
    for container in containers(pod):
        for key in ("state", "lastState"):
            ended = (container.get(key) or {}).get("terminated") or {}
            if ended.get("reason") != "OOMKilled" or not ended.get("finishedAt"):
                continue
            if seconds_between(str(ended["finishedAt"]), moment) > _JUST_NOW_SECONDS:
                continue
            note = f"{container['name']} was killed for lack of memory: its limit is too low for what it does"
            uid = f"{pod['metadata']['uid']}/{container['name']}/{ended['finishedAt']}"
            found.append(Eviction(pod["metadata"]["name"], uid, note, "PodOOMKilled"))
    return found


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
