"""What the API server has of ours, kept by one list and watch a kind.

kopf watches the networks; for children its label filters would be applied on our side, after every pod of
the cluster has been sent here. These watches ask the server for the labelled objects only.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence

from minga_operator.errors import OperatorError, Unavailable
from minga_operator.kinds import Kind
from minga_operator.kube import Kube
from minga_operator.resources.common import INSTANCE, Object
from minga_operator.workqueue import Key

_log = logging.getLogger(__name__)
_FIRST_DELAY, _LONGEST_DELAY = 1.0, 30.0
_SHORT_SECONDS = 1.0


class Cache:
    """Objects by kind, namespace and network. Safe for threads; what it returns is not to be changed."""

    def __init__(
        self, changed: Callable[[Key], None], noticed: Callable[[Object], None] = lambda _: None
    ) -> None:
        self._changed, self._noticed = changed, noticed
        self._lock = threading.Lock()
        self._objects: dict[tuple[str, str, str], dict[str, Object]] = {}

    def get(self, kind: Kind, key: Key, name: str) -> Object | None:
        """One object of a network."""
        with self._lock:
            return self._objects.get((kind.name, *key), {}).get(name)

    def of(self, kind: Kind, key: Key) -> list[Object]:
        """All objects of a kind that a network has, by name."""
        with self._lock:
            found = self._objects.get((kind.name, *key), {})
            return [found[name] for name in sorted(found)]

    def put(self, item: Object) -> None:
        """Takes in an object, unless a newer one is known; the answer to our own write may come first."""
        metadata = item["metadata"]
        place = self._place(item)
        with self._lock:
            objects = self._objects.setdefault(place, {})
            known = objects.get(metadata["name"])
            if known is not None and _version(known) >= _version(item):
                return
            objects[metadata["name"]] = item
        # What is gone again before anybody looks, such as an evicted pod, is seen here.
        self._noticed(item)
        self._changed(place[1:])

    def drop(self, item: Object) -> None:
        """Forgets an object that was deleted; ``item`` is its last state."""
        self._noticed(item)
        place = self._place(item)
        with self._lock:
            objects = self._objects.get(place, {})
            known = objects.get(item["metadata"]["name"])
            if known is None or known["metadata"]["uid"] != item["metadata"]["uid"]:
                return
            del objects[item["metadata"]["name"]]
            if not objects:
                self._objects.pop(place, None)
        self._changed(place[1:])

    def replace(self, kind: Kind, namespace: str | None, items: Sequence[Object]) -> None:
        """Takes in a whole list: what is not in it is gone."""
        names = {(item["metadata"]["namespace"], item["metadata"]["name"]) for item in items}
        with self._lock:
            gone = [
                item
                for place, objects in self._objects.items()
                if place[0] == kind.name and namespace in {None, place[1]}
                for item in objects.values()
                if (item["metadata"]["namespace"], item["metadata"]["name"]) not in names
            ]
        for item in gone:
            self.drop(item)
        for item in items:
            self.put(item)

    @staticmethod
    def _place(item: Object) -> tuple[str, str, str]:
        metadata = item["metadata"]
        instance = (metadata.get("labels") or {}).get(INSTANCE, "")
        return item["kind"], metadata["namespace"], instance


def _version(item: Object) -> int:
    """Versions of one kind can be compared since Kubernetes 1.35 by promise, and before in fact."""
    return int(item["metadata"]["resourceVersion"])


class Follower:
    """A thread that keeps the cache equal to the API server for one kind."""

    def __init__(self, kube: Kube, cache: Cache, kind: Kind, namespace: str | None) -> None:
        self._kube, self._cache = kube, cache
        self._kind, self._namespace = kind, namespace
        self.plural = kind.plural
        self.synced = threading.Event()
        self._stopped = threading.Event()
        self._delay = _FIRST_DELAY

    def start(self) -> None:
        """Begins; ``synced`` is set after the first list."""
        threading.Thread(target=self._run, name=f"watch-{self._kind.plural}", daemon=True).start()

    def stop(self) -> None:
        """The thread ends with its current watch."""
        self._stopped.set()

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                items, version = self._kube.items(self._kind, self._namespace)
                self._cache.replace(self._kind, self._namespace, items)
                self.synced.set()
                self._follow(version)
            except OperatorError as error:
                _log.warning("watching %s: %s; again in %.0f s", self._kind.plural, error, self._delay)
            except Exception:  # noqa: BLE001 -- nobody would notice that this kind is not watched any more
                _log.exception("watching %s: unexpected; again in %.0f s", self._kind.plural, self._delay)
            self._stopped.wait(self._delay)
            self._delay = min(self._delay * 2, _LONGEST_DELAY)

    def _follow(self, version: str) -> None:
        """Watches until that fails. Only what it brings resets the delay: lists may succeed meanwhile."""
        while not self._stopped.is_set():
            began = time.monotonic()
            for event, item in self._kube.watch(self._kind, self._namespace, version):
                self._delay = _FIRST_DELAY
                version = item["metadata"]["resourceVersion"]
                if event == "DELETED":
                    self._cache.drop(item)
                elif event != "BOOKMARK":
                    self._cache.put(item)
            if time.monotonic() - began < _SHORT_SECONDS:
                raise Unavailable("a watch ended as soon as it began")
