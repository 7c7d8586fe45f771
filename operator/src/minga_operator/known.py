"""The networks as the API server told them last, and what their nodes report."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from minga_operator.draining import Report
from minga_operator.errors import InvalidSpec
from minga_operator.kept import Kept
from minga_operator.network import Network, parse
from minga_operator.nodes import Totals
from minga_operator.resources.common import Object
from minga_operator.workqueue import Key


class Known:
    """Threads may share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # kopf hands on what it watches by one task for each uid: their order among each other is nobody's.
        self._kept = Kept(in_order=False)
        self._totals: dict[Key, Totals] = {}
        self._reports: dict[Key, dict[str, Report]] = {}

    def told(self, body: Mapping[str, Any]) -> Key:
        """Takes in a network as a watch tells it."""
        with self._lock:
            self._kept.told(None, dict(body))
        return _key(body)

    def answered(self, body: Object) -> None:
        """Takes in the answer to our own write, unless the watch was faster or the network is gone."""
        with self._lock:
            known = self._kept.get(_key(body))
            if known is not None and known["metadata"]["uid"] == body["metadata"]["uid"]:
                self._kept.answered(body)

    def ended(self, body: Mapping[str, Any]) -> Key | None:
        """A watch tells that a network is gone; returns its key if now there is none of its name."""
        with self._lock:
            self._kept.ended(None, dict(body))
            return _key(body) if self._kept.get(_key(body)) is None else None

    def gone(self, key: Key, uid: str) -> None:
        """The API server said that this network does not exist."""
        with self._lock:
            known = self._kept.get(key)
            if known is not None and known["metadata"]["uid"] == uid:
                self._kept.deleted(known)

    def listed(
        self, namespace: str | None, bodies: Iterable[Object], version: int
    ) -> tuple[list[Key], list[Key]]:
        """Takes in a list of all networks, or of a namespace's; returns which are news, and which are gone.

        A watch says nothing of what ended while it was interrupted.
        """
        with self._lock:
            changes = self._kept.listed(namespace, bodies, version)
        news = [_key(change.after) for change in changes if change.after is not None]
        gone = {_key(change.before) for change in changes if change.before is not None} - set(news)
        return news, sorted(gone)

    def unfollow(self, namespace: str | None) -> list[Key]:
        """Nothing is told any more of a namespace's networks, or of all; returns which those were."""
        with self._lock:
            changes = self._kept.unfollow(namespace)
        return [_key(change.before) for change in changes if change.before is not None]

    def forget(self, key: Key) -> None:
        """The network is gone: so is what its nodes reported."""
        with self._lock:
            self._totals.pop(key, None)
            self._reports.pop(key, None)

    def body(self, key: Key) -> Mapping[str, Any] | None:
        """One network, or None."""
        with self._lock:
            return self._kept.get(key)

    def bodies(self) -> Sequence[Mapping[str, Any]]:
        """All networks as the API server has them."""
        with self._lock:
            return self._kept.all()

    def networks(self) -> list[Network]:
        """All networks that can be read."""
        found = []
        for body in self.bodies():
            try:
                found.append(parse(body))
            except InvalidSpec:
                continue
        return found

    def tell(self, key: Key, totals: Totals) -> bool:
        """Takes in what nodes report; returns whether that is news."""
        with self._lock:
            news = self._totals.get(key) != totals
            self._totals[key] = totals
        return news

    def totals(self, key: Key) -> Totals | None:
        """What nodes reported last."""
        with self._lock:
            return self._totals.get(key)

    def tell_reports(self, key: Key, reports: Mapping[str, Report | None]) -> Mapping[str, Report]:
        """Takes in what draining pods say; returns what each of them said last."""
        with self._lock:
            before = self._reports.get(key, {})
            last = {
                name: found
                for name, report in reports.items()
                if (found := report or before.get(name)) is not None
            }
            self._reports[key] = last
        return last


def _key(body: Mapping[str, Any]) -> Key:
    return body["metadata"]["namespace"], body["metadata"]["name"]
