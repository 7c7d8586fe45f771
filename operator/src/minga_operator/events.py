"""Events: what a person who describes a network sees of its past."""

from __future__ import annotations

import datetime
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from minga_operator import metrics
from minga_operator.errors import OperatorError
from minga_operator.kinds import EVENT, NETWORK
from minga_operator.kube import Kube
from minga_operator.network import Network
from minga_operator.resources.common import Object

_log = logging.getLogger(__name__)
_ORDINARY = frozenset({
    "Ready",
    "WaitingForPods",
    "WaitingForSeeds",
    "WaitingForNodes",
    "Missing",
    "RollingOut",
    "Draining",
    "Waiting",
    "Paused",
})
"""Reasons of the condition Ready that are no cause for worry."""
_SERIES_SECONDS = 360.0
"""What is told again within that time is one Event that counts, as client-go has it."""
_SERIES = 1000
"""So many are remembered."""


@dataclass
class _Series:
    """An Event that may be told again."""

    name: str
    count: int
    last: float


class Events:
    """Posts; an Event that cannot be posted keeps nothing else from happening."""

    def __init__(self, kube: Kube, identity: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._kube, self._identity, self._clock = kube, identity, clock
        self._lock = threading.Lock()
        self._told: OrderedDict[tuple[str, ...], _Series] = OrderedDict()

    def post(self, network: Network, type_: str, reason: str, action: str, note: str) -> None:
        """One Event: ``type_`` is Normal or Warning, ``reason`` a stable CamelCase word."""
        place = (network.uid, type_, reason, action, note)
        try:
            if (again := self._again(place)) is not None and self._count(network, again):
                return
            name = f"{network.name}.{time.time_ns():x}"
            self._kube.create(EVENT, self._body(network, name, type_, reason, action, note))
            metrics.WRITES.labels("Event", "create").inc()
            self._remember(place, name)
        except OperatorError as error:
            _log.warning("%s/%s: an Event could not be posted: %s", *network.key, error)

    def post_transition(self, network: Network, wanted: Object) -> None:
        """Tells when the condition Ready of the status ``wanted`` is not what the network's was."""
        before = {item["type"]: item for item in network.status.get("conditions") or ()}
        for item in wanted["conditions"]:
            old = before.get(item["type"])
            changed = old is None or (old["status"], old["reason"]) != (item["status"], item["reason"])
            if item["type"] == "Ready" and changed:
                kind = "Normal" if item["reason"] in _ORDINARY else "Warning"
                self.post(network, kind, item["reason"], "Reconcile", item["message"])

    def _again(self, place: tuple[str, ...]) -> _Series | None:
        """The Event of before, counted once more, if this is to be one with it."""
        now = self._clock()
        with self._lock:
            found = self._told.get(place)
            if found is None or now - found.last > _SERIES_SECONDS:
                return None
            self._told.move_to_end(place)
            found.count, found.last = found.count + 1, now
            return _Series(found.name, found.count, now)

    def _remember(self, place: tuple[str, ...], name: str) -> None:
        with self._lock:
            self._told[place] = _Series(name, 1, self._clock())
            self._told.move_to_end(place)
            while len(self._told) > _SERIES:
                self._told.popitem(last=False)

    def _count(self, network: Network, again: _Series) -> bool:
        """Whether that Event is still there to be counted."""
        series = {"count": again.count, "lastObservedTime": _moment()}
        try:
            self._kube.merge(EVENT, network.namespace, again.name, {"series": series})
        except OperatorError as error:
            if getattr(error, "status", 0) == 404:
                return False
            raise
        metrics.WRITES.labels("Event", "patch").inc()
        return True

    def _body(self, network: Network, name: str, type_: str, reason: str, action: str, note: str) -> Object:
        return {
            "apiVersion": EVENT.api_version,
            "kind": EVENT.name,
            "metadata": {"name": name, "namespace": network.namespace},
            "eventTime": _moment(),
            "reportingController": "minga.dev/operator",
            "reportingInstance": self._identity,
            "action": action,
            "reason": reason,
            "type": type_,
            "note": note[:1000],
            "regarding": {
                "apiVersion": NETWORK.api_version,
                "kind": NETWORK.name,
                "name": network.name,
                "namespace": network.namespace,
                "uid": network.uid,
            },
        }


def _moment() -> str:
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
