"""The networks as the API server told them last, and what their nodes report."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from minga_operator.draining import Report
from minga_operator.errors import InvalidSpec
from minga_operator.network import Network, parse
from minga_operator.nodes import Totals
from minga_operator.resources.common import Object
from minga_operator.workqueue import Key


class Known:
    """Threads may share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._bodies: dict[Key, Mapping[str, Any]] = {}
        self._totals: dict[Key, Totals] = {}
        self._reports: dict[Key, dict[str, Report]] = {}

    def learn(self, body: Mapping[str, Any]) -> Key:
        """Takes in a network as the API server has it now."""
        key = (body["metadata"]["namespace"], body["metadata"]["name"])
        with self._lock:
            self._bodies[key] = body
        return key

    def learn_newer(self, body: Object) -> None:
        """Takes in the answer to our own write, unless the watch was faster or the network is gone."""
        key = (body["metadata"]["namespace"], body["metadata"]["name"])
        with self._lock:
            known = self._bodies.get(key)
            if known is None or known["metadata"]["uid"] != body["metadata"]["uid"]:
                return
            if int(known["metadata"]["resourceVersion"]) < int(body["metadata"]["resourceVersion"]):
                self._bodies[key] = body

    def forget(self, key: Key) -> None:
        """The network is gone."""
        with self._lock:
            self._bodies.pop(key, None)
            self._totals.pop(key, None)
            self._reports.pop(key, None)

    def body(self, key: Key) -> Mapping[str, Any] | None:
        """One network, or None."""
        with self._lock:
            return self._bodies.get(key)

    def networks(self) -> list[Network]:
        """All networks that can be read."""
        with self._lock:
            bodies = list(self._bodies.values())
        found = []
        for body in bodies:
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
