"""Events: what a person who describes a network sees of its past."""

from __future__ import annotations

import datetime
import logging
import time

from minga_operator import metrics
from minga_operator.errors import OperatorError
from minga_operator.kinds import EVENT, NETWORK
from minga_operator.kube import Kube
from minga_operator.network import Network
from minga_operator.resources.common import Object

_log = logging.getLogger(__name__)
_ORDINARY = frozenset({"Ready", "WaitingForPods", "Missing", "RollingOut", "Draining", "Waiting", "Paused"})
"""Reasons of the condition Ready that are no cause for worry."""


class Events:
    """Posts; an Event that cannot be posted keeps nothing else from happening."""

    def __init__(self, kube: Kube, identity: str) -> None:
        self._kube, self._identity = kube, identity

    def post(self, network: Network, type_: str, reason: str, action: str, note: str) -> None:
        """One Event: ``type_`` is Normal or Warning, ``reason`` a stable CamelCase word."""
        name = f"{network.name}.{time.time_ns():x}"
        body = {
            "apiVersion": EVENT.api_version,
            "kind": EVENT.name,
            "metadata": {"name": name, "namespace": network.namespace},
            "eventTime": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
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
        try:
            self._kube.create(EVENT, body)
            metrics.WRITES.labels("Event", "create").inc()
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
