"""Makes the objects of a network as they should be, with no request at all where they already are."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Sequence

from minga_operator import metrics
from minga_operator.cache import Cache
from minga_operator.compare import APPLIED, applied, differences, owner, projection, settled, stamped
from minga_operator.crd import GROUP, KIND
from minga_operator.errors import NameTaken, Refused, Unavailable, Waiting
from minga_operator.kinds import BY_NAME, WATCHED, ObjectKind
from minga_operator.kube import Invalid, Kube, WriteConflict
from minga_operator.network import Network
from minga_operator.resources.common import INSTANCE, MANAGED, Object, digest, owner_reference
from minga_operator.workqueue import Key

_log = logging.getLogger(__name__)
_NOTES = f"metadata.annotations.{GROUP}/"

Say = Callable[[str, str, str, str], None]
"""Posts an Event: type, reason, action, note."""


class Children:
    """Applies, repairs and prunes."""

    def __init__(self, kube: Kube, cache: Cache) -> None:
        self._kube, self._cache = kube, cache
        self._lock = threading.Lock()
        self._canonical: dict[tuple[str, str], str] = {}

    def ensure(self, network: Network, wanted: Object, say: Say) -> bool:
        """Makes one object as wanted; returns whether anything was written.

        Raises:
            NameTaken: there is an object of that name that is not this network's.
            Refused: the API server does not accept it.
            Waiting, Unavailable: not now.
        """
        kind, name = BY_NAME[wanted["kind"]], wanted["metadata"]["name"]
        target = stamped(wanted)
        live = self._live(network, kind, name)
        if live is not None and self._as_wanted(target, live):
            return False
        try:
            answer = self._kube.apply(kind, target)
        except Invalid as invalid:
            if live is None or not only_immutable(str(invalid)):
                raise Refused(f"{kind.name} {name}: {invalid}", invalid.status) from invalid
            self._recreate(kind, target, live, say)
            return True
        except WriteConflict as conflict:
            raise Unavailable(f"{kind.name} {name} has just changed: {conflict}") from conflict
        except Refused as refused:
            raise Refused(f"{kind.name} {name}: {refused}", refused.status) from refused
        metrics.WRITES.labels(kind.name, "apply").inc()
        self._remember(target, answer)
        self._cache.put(answer)
        if live is not None and owner(live) is None:
            say("Normal", "Adopted", "Adopt", f"{kind.name} {name} was of an earlier {network.name}")
        elif live is not None and _stamp(live) == _stamp(target):
            say("Normal", "Repaired", "Repair", f"{kind.name} {name} had been changed and is as it was again")
        return True

    def pending(
        self, network: Network, wanted: Sequence[Object], spare: Iterable[tuple[str, str]]
    ) -> list[str]:
        """What :meth:`ensure` and :meth:`prune` would do, in a few words each; nothing is written.

        Raises:
            NameTaken: there is an object of that name that is not this network's.
            Waiting, Unavailable: not now.
        """
        found = []
        for item in wanted:
            kind, name = BY_NAME[item["kind"]], item["metadata"]["name"]
            target = stamped(item)
            try:
                live = self._live(network, kind, name)
            except Refused as refused:
                found.append(f"{kind.name} {name} cannot be seen: {refused}")
                continue
            if live is None:
                found.append(f"{kind.name} {name} is made")
                continue
            if self._as_wanted(target, live):
                continue
            try:
                # The API server may write a value in another form: then it is no change.
                answer = self._kube.apply(kind, target, dry_run=True)
            except Refused as refused:
                found.append(f"{kind.name} {name} is refused: {refused}")
                continue
            if fields := telling(differences(projection(item, answer), live)):
                found.append(f"{kind.name} {name}: {fields}")
        gone = self._superfluous(network, wanted, spare)
        return found + [f"{kind.name} {live['metadata']['name']} is deleted" for kind, live in gone]

    def made_once(self, network: Network, kind: ObjectKind, name: str) -> Object | None:
        """An object that is made once and never applied, as this network's, which it may not have been.

        Raises:
            NameTaken: it is somebody else's.
            Waiting, Unavailable: not now, or it has changed since it was read.
        """
        live = self._live(network, kind, name, made_once=True)
        if live is None or owner(live) is not None:
            return live
        metadata = live["metadata"]
        references = [*(metadata.get("ownerReferences") or ()), owner_reference(network)]
        return self._patch(kind, live, {"metadata": {"ownerReferences": references}})

    def save(self, kind: ObjectKind, live: Object | None, wanted: Object) -> Object:
        """Makes an object that is never applied, or changes the values and annotations of ``live``.

        Keys that ``wanted`` does not have stay. Returns the object as the API server has it now.

        Raises:
            Unavailable: it was made, changed or deleted since ``live`` was read.
            Refused: the API server does not accept it.
        """
        if live is not None:
            notes = wanted["metadata"].get("annotations", {})
            return self._patch(kind, live, {"metadata": {"annotations": notes}, "data": wanted["data"]})
        try:
            found = self._kube.create(kind, wanted)
        except WriteConflict as conflict:
            name = wanted["metadata"]["name"]
            raise Unavailable(f"{kind.name} {name} has just been made: {conflict}") from conflict
        metrics.WRITES.labels(kind.name, "create").inc()
        self._cache.put(found)
        return found

    def _patch(self, kind: ObjectKind, live: Object, patch: Object) -> Object:
        """Changes exactly this state of an object: a later one holds what we have not read."""
        metadata = live["metadata"]
        exactly = {key: metadata[key] for key in ("uid", "resourceVersion")}
        patch = {**patch, "metadata": {**patch["metadata"], **exactly}}
        try:
            found = self._kube.merge(kind, metadata["namespace"], metadata["name"], patch)
        except Refused as refused:
            if refused.status not in {404, 409}:
                raise
            raise Unavailable(f"{kind.name} {metadata['name']} has just changed: {refused}") from refused
        metrics.WRITES.labels(kind.name, "patch").inc()
        self._cache.put(found)
        return found

    def _live(
        self, network: Network, kind: ObjectKind, name: str, *, made_once: bool = False
    ) -> Object | None:
        """The object of that name, which is this network's or may be taken; None if there is none.

        What the cache has does not stop us before the API server was asked: it may be gone since.
        """
        known = self._cache.get(kind, network.key, name)
        if known is not None:
            try:
                check_owner(network, known, made_once=made_once)
            except (NameTaken, Waiting):
                pass
            else:
                return known
        found = self._kube.find(kind, network.namespace, name)
        if known is not None and (found is None or found["metadata"]["uid"] != known["metadata"]["uid"]):
            self._cache.drop(known)
        if found is not None:
            found = {"apiVersion": kind.api_version, "kind": kind.name, **found}
            check_owner(network, found, made_once=made_once)
        return found

    def prune(self, network: Network, wanted: Iterable[Object], spare: Iterable[tuple[str, str]] = ()) -> int:
        """Deletes what the network no longer needs, but for ``spare`` (kind and name); returns how many."""
        gone = self._superfluous(network, wanted, spare)
        for kind, live in gone:
            self._kube.delete(kind, live)
            self._cache.drop(live)
            metrics.WRITES.labels(kind.name, "delete").inc()
        return len(gone)

    def _superfluous(
        self, network: Network, wanted: Iterable[Object], spare: Iterable[tuple[str, str]]
    ) -> list[tuple[ObjectKind, Object]]:
        keep = {(item["kind"], item["metadata"]["name"]) for item in wanted} | set(spare)
        return [
            (kind, live)
            for kind in WATCHED
            if kind.ours
            for live in self._cache.of(kind, network.key)
            if (owner(live) or {}).get("uid") == network.uid
            and (kind.name, live["metadata"]["name"]) not in keep
            and "deletionTimestamp" not in live["metadata"]
        ]

    def forget(self, key: Key) -> None:
        """Drops what was remembered about a network that is gone."""
        prefix = "/".join(key) + "/"
        with self._lock:
            for place in [place for place in self._canonical if place[0].startswith(prefix)]:
                del self._canonical[place]

    def _as_wanted(self, target: Object, live: Object) -> bool:
        if settled(target, live):
            return True
        # The API server may write a value in another form (1000m as 1): then what it answered counts.
        with self._lock:
            known = self._canonical.get(_place(target))
        return known == digest([_stamp(target), projection(target, live)])

    def _remember(self, target: Object, applied: Object) -> None:
        if not settled(target, applied):
            with self._lock:
                self._canonical[_place(target)] = digest([_stamp(target), projection(target, applied)])

    def _recreate(self, kind: ObjectKind, target: Object, live: Object, say: Say) -> None:
        """A field that cannot be changed: the object is made anew around its pods, which go on running."""
        name = target["metadata"]["name"]
        say("Normal", "Recreated", "Recreate", f"{kind.name} {name} is made anew around its running pods")
        self._kube.delete(kind, live, propagation="Orphan")
        metrics.WRITES.labels(kind.name, "delete").inc()
        self._cache.drop(live)
        # It lingers until the garbage collector has let go of the pods; its end brings the next reconcile.


def check_owner(network: Network, live: Object, *, made_once: bool = False) -> None:
    """Raises NameTaken unless the object is this network's or nobody's, Waiting while it is being deleted.

    Nobody's are those that an operator made for a network of this name, which is gone and left them behind:
    deleted with ``--cascade=orphan``, or restored from a backup that keeps no owners. Our labels and the
    annotation of what was applied tell them from what somebody else made.

    Args:
        made_once: the object is one that is never applied, so it has no such annotation.
    """
    kind, metadata = live["kind"], live["metadata"]
    found = owner(live)
    ours = found is not None and found.get("uid") == network.uid
    if ours or (found is None and _left_behind(network, live, made_once=made_once)):
        if "deletionTimestamp" in metadata:
            raise Waiting(f"{kind} {metadata['name']} is still being deleted")
        return
    if found is not None and found.get("kind") == KIND and found.get("name") == network.name:
        raise Waiting(f"{kind} {metadata['name']} of an earlier {network.name} is still being deleted")
    raise NameTaken(
        f"{kind} {metadata['name']} exists and is not this network's: delete it, or rename the network"
    )


def _left_behind(network: Network, live: Object, *, made_once: bool) -> bool:
    labels = live["metadata"].get("labels") or {}
    ours = {**MANAGED, INSTANCE: network.name}
    return ours.items() <= labels.items() and (made_once or applied(live))


def telling(fields: Sequence[str]) -> str:
    """Fields that would change, as a person wants to know them; empty for what only the operator notes."""
    told = [field for field in fields if not field.startswith(_NOTES)]
    rolled = " (its pods are replaced)" if any(field.startswith("spec.template") for field in told) else ""
    return ", ".join(told) + rolled


def only_immutable(message: str) -> bool:
    """Whether a 422 says nothing but that a field cannot be changed: the object as wanted is valid in itself.

    Otherwise it must not be deleted, for it could not be made again. Several complaints come as a list.
    """
    fixed = "updates to statefulset spec for fields other than" in message or "field is immutable" in message
    return fixed and "is invalid: [" not in message


def _place(item: Object) -> tuple[str, str]:
    metadata = item["metadata"]
    network = metadata["ownerReferences"][0]["name"]
    return f"{metadata['namespace']}/{network}/{metadata['name']}", str(item["kind"])


def _stamp(item: Object) -> str:
    return str((item["metadata"].get("annotations") or {}).get(APPLIED, ""))
