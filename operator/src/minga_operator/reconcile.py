"""One reconcile: from a network and what there is to what there should be, and a status that says so."""

from __future__ import annotations

import datetime
import hashlib
import logging
import secrets
import threading
import time
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from minga_operator import draining, metrics, planning, resizing, status
from minga_operator.cache import Cache
from minga_operator.children import Children
from minga_operator.errors import (
    InvalidSpec,
    MissingSecret,
    OperatorError,
    Refused,
    StorageRefused,
    Unavailable,
)
from minga_operator.kinds import CLAIM, DAEMON_SET, EVENT, NETWORK, POD, SECRET, STATEFUL_SET
from minga_operator.kube import Conflict, Kube
from minga_operator.network import Credentials, Network, Plan, parse
from minga_operator.nodes import Nodes, Totals
from minga_operator.planning import Existing, Settings
from minga_operator.resources import broker, common, desired, workload
from minga_operator.resources.common import Object
from minga_operator.workqueue import Key

_log = logging.getLogger(__name__)
_RECHECK_SECONDS = 60.0
"""How often a Secret that is not ours is looked at: it is not in any of our watches."""

_DRAIN_SECONDS = 2.0
"""How often draining peers are asked."""


@dataclass(frozen=True)
class Result:
    """What a reconcile did."""

    writes: int = 0
    again: float | None = None
    """Seconds until the next look, when something outside our watches is being waited for."""


@dataclass(frozen=True)
class Outcome:
    """What applying came to."""

    plan: Plan | None = None
    drain: draining.Decision = field(default_factory=draining.Decision)
    broker_error: OperatorError | None = None
    storage_error: OperatorError | None = None
    """A part of the spec that cannot be; the rest of it holds."""
    writes: int = 0


class Reconciler:
    """Holds no state that matters: killed anywhere, the next reconcile goes on."""

    def __init__(self, kube: Kube, cache: Cache, nodes: Nodes, settings: Settings, identity: str) -> None:
        self._kube, self._cache, self._nodes, self._settings = kube, cache, nodes, settings
        self._identity = identity
        self._children = Children(kube, cache)
        self._lock = threading.Lock()
        self._networks: dict[Key, Mapping[str, Any]] = {}
        self._totals: dict[Key, Totals] = {}
        self.kinds: frozenset[str] = frozenset()
        """Optional kinds that the cluster knows."""

    def learn(self, body: Mapping[str, Any]) -> Key:
        """Takes in a network as the API server has it now."""
        key = (body["metadata"]["namespace"], body["metadata"]["name"])
        with self._lock:
            self._networks[key] = body
        return key

    def forget(self, key: Key) -> None:
        """The network is gone; the garbage collector removes what was its."""
        with self._lock:
            self._networks.pop(key, None)
            self._totals.pop(key, None)
        self._children.forget(key)

    def networks(self) -> list[Network]:
        """All networks that can be read."""
        with self._lock:
            bodies = list(self._networks.values())
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

    def reconcile(self, key: Key) -> Result:
        """Makes everything so. Doing it twice changes nothing.

        Raises:
            OperatorError: it could not be finished; the status says why, and it is to be tried again.
        """
        with self._lock:
            body = self._networks.get(key)
        if body is None or "deletionTimestamp" in body["metadata"]:
            return Result()
        error: OperatorError | None = None
        try:
            network = parse(body)
        except InvalidSpec as caught:
            network, error = parse({**body, "spec": {}}), caught
        outcome = Outcome()
        if error is None and not network.spec.paused:
            try:
                outcome = self._apply(network)
            except Unavailable:
                raise
            except OperatorError as caught:
                error = caught
        writes = outcome.writes + self._report(network, outcome, error or outcome.storage_error)
        if error is not None:
            raise error
        again = None
        if outcome.drain.since:
            again = _DRAIN_SECONDS
        elif network.spec.broker.managed is None and not network.spec.paused:
            again = _RECHECK_SECONDS
        return Result(writes, again)

    def _apply(self, network: Network) -> Outcome:
        credentials, digest, broker_error = self._broker(network)
        network, storage_error, writes = self._resize(network)
        drain = self._drain(network)
        plan = planning.plan(
            network,
            self._settings,
            self._existing(network),
            credentials=credentials,
            broker_digest=digest,
            kinds=self.kinds,
            keep_peers=drain.keep,
        )
        wanted = desired(network, plan)
        for item in wanted:
            writes += self._children.ensure(network, item, lambda *event: self._event(network, *event))
        spare = [("Secret", common.credentials_name(network))] if credentials else []
        if drain.keep:
            spare.append(("StatefulSet", common.peer_name(network)))
        writes += self._children.prune(network, wanted, spare)
        return Outcome(plan, drain, broker_error, storage_error, writes)

    def _drain(self, network: Network) -> draining.Decision:
        """Asks the peers that are to leave for what only they have."""
        peers = self._cache.get(STATEFUL_SET, network.key, common.peer_name(network))
        names = draining.leaving(network, peers)
        if not names:
            return draining.Decision()
        addresses = draining.running(self._cache.of(POD, network.key), names)
        reports = {name: self._nodes.drain(address, names) for name, address in addresses.items()}
        found = draining.decide(network, names, reports, now())
        if found.overdue:
            note = f"spec.peers.drainSeconds is over: {found.overdue}"
            self._event(network, "Warning", "DrainDeadline", "Drain", note)
        return found

    def _resize(self, network: Network) -> tuple[Network, OperatorError | None, int]:
        """Lets volumes grow before their StatefulSet is made anew; a size that cannot be stays as it is."""
        error: OperatorError | None = None
        writes, managed = 0, network.spec.broker.managed
        groups = {common.SEED: network.spec.seeds.storage, common.PEER: network.spec.peers.storage}
        if managed is not None:
            groups[common.BROKER] = managed.storage
        for component, storage in groups.items():
            live = self._cache.get(STATEFUL_SET, network.key, f"{network.name}-{component}")
            found = resizing.decide(storage, live, self._cache.of(CLAIM, network.key))
            if found.keep:
                error = StorageRefused(
                    f"the volumes of {network.name}-{component} have {found.keep}"
                    f" and cannot shrink to {storage.size}"
                )
                network = resizing.keeping(network, component, found.keep)
            try:
                writes += self._grow(network, found)
            except Refused as refused:
                error = StorageRefused(f"the volumes of {network.name}-{component} cannot grow: {refused}")
                network = resizing.keeping(network, component, resizing.present(live))
        return network, error, writes

    def _grow(self, network: Network, resize: resizing.Resize) -> int:
        request = {"spec": {"resources": {"requests": {"storage": resize.size}}}}
        for name in resize.grow:
            self._cache.put(self._kube.merge(CLAIM, network.namespace, name, request))
            metrics.WRITES.labels("PersistentVolumeClaim", "patch").inc()
            self._event(network, "Normal", "VolumeGrows", "Resize", f"{name} is to have {resize.size}")
        return len(resize.grow)

    def _existing(self, network: Network) -> Existing:
        key = network.key
        return Existing(
            seeds=self._cache.get(STATEFUL_SET, key, common.seed_name(network)),
            peers=self._cache.get(STATEFUL_SET, key, common.peer_name(network)),
        )

    def _broker(self, network: Network) -> tuple[Credentials | None, str | None, OperatorError | None]:
        """Credentials of a managed broker, the digest of the URI, and why a Secret of others is of no use."""
        name, field = workload.broker_secret(network)
        if network.spec.broker.managed is not None:
            data = _decoded(self._own_secret(network))
            credentials = Credentials(data["username"], data["password"], data["cookie"])
            return credentials, _digest(data["uri"]), None
        secret = self._kube.find(SECRET, network.namespace, name)
        uri = _decoded(secret).get(field, "") if secret else ""
        if uri.startswith(("amqp://", "amqps://")):
            return None, _digest(uri), None
        missing = f"its key {field} holds no AMQP URI" if secret else "it does not exist"
        return None, None, MissingSecret(f"Secret {name} is needed for the broker, and {missing}")

    def _own_secret(self, network: Network) -> Object:
        name = common.credentials_name(network)
        found = self._cache.get(SECRET, network.key, name) or self._kube.find(SECRET, network.namespace, name)
        if found is not None:
            self._children.check_owner(network, found | {"kind": "Secret"})
            return found
        made = Credentials("minga", secrets.token_urlsafe(24), secrets.token_hex(20))
        try:
            found = self._kube.create(SECRET, broker.new_credentials(network, made))
        except Conflict as conflict:
            raise Unavailable(f"Secret {name} has just been made: {conflict}") from conflict
        metrics.WRITES.labels("Secret", "create").inc()
        self._cache.put(found)
        return found

    def _report(self, network: Network, outcome: Outcome, error: OperatorError | None) -> int:
        key = network.key
        with self._lock:
            totals = self._totals.get(key)
        kind = DAEMON_SET if network.spec.peers.mode == "DaemonSet" else STATEFUL_SET
        observed = status.Observed(
            seeds=self._cache.get(STATEFUL_SET, key, common.seed_name(network)),
            peers=self._cache.get(kind, key, common.peer_name(network)),
            broker=self._cache.get(STATEFUL_SET, key, common.broker_name(network)),
            pods=self._cache.of(POD, key),
            files=totals.files if totals else None,
            bytes=totals.bytes if totals else None,
            draining=outcome.drain.since,
            drain_note=outcome.drain.note,
        )
        wanted = status.status(network, outcome.plan, observed, error, outcome.broker_error, now())
        patch = status.patch(network.status, wanted)
        if not patch:
            return 0
        content = {"metadata": {"uid": network.uid}, "status": patch}
        try:
            body = self._kube.merge(NETWORK, network.namespace, network.name, content, part="status")
        except Refused as refused:
            if refused.status != 404:
                raise
            return 0  # deleted meanwhile; the watch will say so
        metrics.WRITES.labels("P2PNetwork", "status").inc()
        self._learn_newer(body)
        self._tell_transitions(network, wanted)
        return 1

    def _learn_newer(self, body: Object) -> None:
        """Takes in the answer to our own write, unless the watch was faster or the network is gone."""
        key = (body["metadata"]["namespace"], body["metadata"]["name"])
        with self._lock:
            known = self._networks.get(key)
            if known is None or known["metadata"]["uid"] != body["metadata"]["uid"]:
                return
            if int(known["metadata"]["resourceVersion"]) < int(body["metadata"]["resourceVersion"]):
                self._networks[key] = body

    def _tell_transitions(self, network: Network, wanted: Object) -> None:
        before = {item["type"]: item for item in network.status.get("conditions") or ()}
        for item in wanted["conditions"]:
            old = before.get(item["type"])
            changed = old is None or (old["status"], old["reason"]) != (item["status"], item["reason"])
            if item["type"] == "Ready" and changed:
                kind = "Normal" if item["status"] == "True" else _severity(item["reason"])
                self._event(network, kind, item["reason"], "Reconcile", item["message"])

    def _event(self, network: Network, type_: str, reason: str, action: str, note: str) -> None:
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


def now() -> str:
    """The time as the API server writes it."""
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _severity(reason: str) -> str:
    return (
        "Normal"
        if reason in {"WaitingForPods", "Missing", "RollingOut", "Draining", "Waiting"}
        else "Warning"
    )


def _decoded(secret: Object) -> dict[str, str]:
    data = secret.get("data") or {}
    return {key: b64decode(value).decode(errors="replace") for key, value in data.items()}


def _digest(uri: str) -> str:
    return hashlib.sha256(uri.encode()).hexdigest()[:16]
