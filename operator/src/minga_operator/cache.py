"""What the API server has of ours, by network: one :class:`Kept` a kind, and who is told of a change."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable

from minga_operator.kept import Change, Kept, Scope
from minga_operator.kinds import ObjectKind
from minga_operator.resources.common import INSTANCE, Object
from minga_operator.workqueue import Key


class Cache:
    """Objects by kind, namespace and network. Safe for threads; what it returns is not to be changed."""

    def __init__(
        self, changed: Callable[[Key], None], noticed: Callable[[Object], None] = lambda _: None
    ) -> None:
        self._changed, self._noticed = changed, noticed
        self._lock = threading.Lock()
        self._kept: dict[str, Kept] = {}
        self._by_network: dict[tuple[str, str, str], dict[str, Object]] = {}
        self._refused: dict[tuple[str, Scope], str] = {}

    # For who wants to know.

    def get(self, kind: ObjectKind, key: Key, name: str) -> Object | None:
        """One object of a network."""
        with self._lock:
            return self._by_network.get((kind.name, *key), {}).get(name)

    def of(self, kind: ObjectKind, key: Key) -> list[Object]:
        """All objects of a kind that a network has, by name."""
        with self._lock:
            found = self._by_network.get((kind.name, *key), {})
            return [found[name] for name in sorted(found)]

    def unseen(self, kinds: Iterable[ObjectKind], namespace: str) -> dict[str, str]:
        """Those of the kinds, by name, of which nothing is known in a namespace, and why; "" for not yet."""
        with self._lock:
            return {
                kind.name: self._refused.get((kind.name, namespace), self._refused.get((kind.name, None), ""))
                for kind in kinds
                if kind.name not in self._kept or not self._kept[kind.name].follows(namespace)
            }

    # For who writes.

    def put(self, item: Object) -> None:
        """Takes in the answer to a write of ours, unless the watch has been there already."""
        with self._lock:
            change = self._take(self._of(item["kind"]).answered(item))
        self._tell([change])

    def drop(self, item: Object) -> None:
        """Forgets what we deleted, or what a look at the API server showed to be gone."""
        with self._lock:
            change = self._take(self._of(item["kind"]).deleted(item))
        self._tell([change])

    # For who follows a kind.

    def told(self, kind: ObjectKind, scope: Scope, item: Object) -> None:
        """A watch brought an object."""
        with self._lock:
            change = self._take(self._of(kind.name).told(scope, item))
        self._tell([change])

    def ended(self, kind: ObjectKind, scope: Scope, item: Object) -> None:
        """A watch brought the end of an object; ``item`` is its last state."""
        with self._lock:
            change = self._take(self._of(kind.name).ended(scope, item))
        # What is gone before anybody looks, such as an evicted pod, is seen here.
        self._noticed(item)
        self._tell([change])

    def passed(self, kind: ObjectKind, scope: Scope, version: int) -> None:
        """A watch brought a bookmark."""
        with self._lock:
            self._of(kind.name).passed(scope, version)

    def listed(self, kind: ObjectKind, scope: Scope, items: Iterable[Object], version: int) -> None:
        """Takes in a whole list."""
        with self._lock:
            self._refused.pop((kind.name, scope), None)
            changes = [self._take(change) for change in self._of(kind.name).listed(scope, items, version)]
        self._tell(changes)

    def unfollow(self, kind: ObjectKind, scope: Scope, why: str = "") -> None:
        """Nobody tells any more of a kind; ``why`` it is so, where it should not be."""
        with self._lock:
            if why:
                self._refused[kind.name, scope] = why
            else:
                self._refused.pop((kind.name, scope), None)
            changes = [self._take(change) for change in self._of(kind.name).unfollow(scope)]
        self._tell(changes)

    def _of(self, kind: str) -> Kept:
        return self._kept.setdefault(kind, Kept(in_order=True))

    def _take(self, change: Change | None) -> Change | None:
        """Brings what is kept by network up to date."""
        if change is None:
            return None
        if change.before is not None:
            place = _place(change.before)
            objects = self._by_network[place]
            del objects[change.before["metadata"]["name"]]
            if not objects:
                del self._by_network[place]
        if change.after is not None:
            objects = self._by_network.setdefault(_place(change.after), {})
            objects[change.after["metadata"]["name"]] = change.after
        return change

    def _tell(self, changes: Iterable[Change | None]) -> None:
        for change in changes:
            if change is None:
                continue
            if change.after is not None:
                self._noticed(change.after)
            for key in {_key(item) for item in (change.before, change.after) if item is not None}:
                self._changed(key)


def _place(item: Object) -> tuple[str, str, str]:
    return (item["kind"], *_key(item))


def _key(item: Object) -> Key:
    metadata = item["metadata"]
    return metadata["namespace"], (metadata.get("labels") or {}).get(INSTANCE, "")
