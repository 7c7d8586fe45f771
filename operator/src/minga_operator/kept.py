"""What is known of the objects of one kind, whatever order the news of them come in. Pure, without a lock.

Four tell of an object: a watch, a list, the answer to a write of ours, and that we deleted it. They come by
different ways, so an answer may come after the watch has told of the deletion that followed it. What holds is
the newest word about a name by its version. That there is nothing is a word too: a deletion has a version,
and a list says of every name that it does not have that nothing was there at the list's version.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from minga_operator.resources.common import Object

Place = tuple[str, str]
"""Namespace and name."""
Scope = str | None
"""The namespace that a watch is of, or None for all of them."""


@dataclass(frozen=True)
class Change:
    """What became of a name; at least one of the two is there."""

    before: Object | None
    after: Object | None


@dataclass
class Deleted:
    """An object that we deleted."""

    namespace: str
    lists: int = 0
    """How many lists have had it nevertheless: the first may have been on its way."""


class Kept:
    """Objects of one kind.

    Args:
        in_order: whoever calls :meth:`told` and :meth:`ended` for a scope does so in the order of versions,
            as a watch has them. Then all up to the version told last is known.
    """

    def __init__(self, *, in_order: bool) -> None:
        self._in_order = in_order
        self._objects: dict[Place, Object] = {}
        self._known_until: dict[Scope, int] = {}
        self._ends: dict[Place, int] = {}
        """Versions of deletions that no list has overtaken yet; none where news come in order."""
        self._deleted: dict[str, Deleted] = {}
        """What we deleted, by uid, and of which neither watch nor list has said so yet."""

    def get(self, place: Place) -> Object | None:
        return self._objects.get(place)

    def all(self) -> list[Object]:
        return list(self._objects.values())

    def follows(self, namespace: str) -> bool:
        """Whether there was a list of what is in that namespace."""
        return not self._known_until.keys().isdisjoint((namespace, None))

    def told(self, scope: Scope, item: Object) -> Change | None:
        """A watch says that it is there, or that it changed."""
        found = self._learn(item, self._horizon(place_of(item)))
        self._pass(scope, version(item))
        return found

    def ended(self, scope: Scope, item: Object) -> Change | None:
        """A watch says that it is gone; ``item`` is its last state, with the version of the deletion."""
        place, moment = place_of(item), version(item)
        self._deleted.pop(item["metadata"]["uid"], None)
        self._pass(scope, moment)
        if not self._in_order and moment > self._horizon(place):
            self._ends[place] = max(moment, self._ends.get(place, 0))
        known = self._objects.get(place)
        if known is None or version(known) > moment:
            return None
        return self._remove(place)

    def passed(self, scope: Scope, moment: int) -> None:
        """A watch says that there was nothing else up to this version (a bookmark)."""
        self._pass(scope, moment)

    def answered(self, item: Object) -> Change | None:
        """The answer to a write of ours. The watch may have told of it already, and of what came after it."""
        follows = self.follows(item["metadata"]["namespace"])
        return self._learn(item, self._horizon(place_of(item))) if follows else None

    def deleted(self, item: Object) -> Change | None:
        """We deleted exactly this object: until the watch says so, what it has to say of it is older."""
        uid, place = item["metadata"]["uid"], place_of(item)
        if not self.follows(item["metadata"]["namespace"]):
            return None
        self._deleted.setdefault(uid, Deleted(place[0]))
        known = self._objects.get(place)
        return self._remove(place) if known is not None and known["metadata"]["uid"] == uid else None

    def listed(self, scope: Scope, items: Iterable[Object], moment: int) -> list[Change]:
        """All there is in a scope at this version."""
        changes = []
        if moment < self._known_until.get(scope, 0):
            # Versions go back when etcd is restored from a backup: nothing that was known can be compared.
            changes += self.unfollow(scope)
        there = {place_of(item): item for item in items}
        self._exhume(scope, {item["metadata"]["uid"] for item in there.values()})
        changes += [change for item in there.values() if (change := self._learn(item, 0)) is not None]
        gone = [
            place
            for place, item in self._objects.items()
            if scope in {None, place[0]} and place not in there and version(item) <= moment
        ]
        changes += [change for place in gone if (change := self._remove(place)) is not None]
        self._known_until[scope] = moment
        self._ends = {place: end for place, end in self._ends.items() if end > self._horizon(place)}
        return changes

    def unfollow(self, scope: Scope) -> list[Change]:
        """Nobody tells any more of what is in a scope."""
        self._known_until.pop(scope, None)
        places = [place for place in self._objects if scope in {None, place[0]}]
        return [change for place in places if (change := self._remove(place)) is not None]

    def _learn(self, item: Object, horizon: int) -> Change | None:
        """Takes it in if it is newer than what is known of its name, and than ``horizon``."""
        place, metadata = place_of(item), item["metadata"]
        if metadata["uid"] in self._deleted:
            if "deletionTimestamp" not in metadata:
                return None
            del self._deleted[metadata["uid"]]
        known = self._objects.get(place)
        newest = version(known) if known is not None else self._ends.get(place, 0)
        if version(item) <= max(newest, horizon):
            return None
        self._objects[place] = item
        self._ends.pop(place, None)
        return Change(known, item)

    def _exhume(self, scope: Scope, listed: set[str]) -> None:
        """Forgets what we deleted once a list agrees; a second one that does not is right, too."""
        for uid, deleted in list(self._deleted.items()):
            if scope in {None, deleted.namespace}:
                deleted.lists += 1
                if uid not in listed or deleted.lists > 1:
                    del self._deleted[uid]

    def _remove(self, place: Place) -> Change | None:
        known = self._objects.pop(place, None)
        return None if known is None else Change(known, None)

    def _pass(self, scope: Scope, moment: int) -> None:
        if self._in_order:
            self._known_until[scope] = max(moment, self._known_until.get(scope, 0))

    def _horizon(self, place: Place) -> int:
        """Up to this version all is known about a name."""
        return max(self._known_until.get(place[0], 0), self._known_until.get(None, 0))


def place_of(item: Object) -> Place:
    return item["metadata"]["namespace"], item["metadata"]["name"]


def version(item: Object) -> int:
    """Versions of one kind can be compared since Kubernetes 1.35 by promise, and before in fact."""
    return int(item["metadata"]["resourceVersion"])
