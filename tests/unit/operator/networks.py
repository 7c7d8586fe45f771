"""Networks, plans and live objects for the operator's unit tests."""

from __future__ import annotations

import copy
from typing import Any

from minga_operator.network import Credentials, Network, Plan, Tokens, parse
from minga_operator.planning import Settings

SETTINGS = Settings(node_image="minga-node:0.1.0", broker_image="rabbitmq:4.1-management")
CREDENTIALS = Credentials("minga", "a-password", "a-cookie")
TOKENS = Tokens("a-token-that-may-read", "a-token-that-may-write")
NOW = "2026-01-02T03:04:05Z"


def network(
    spec: dict[str, Any] | None = None,
    status: dict[str, Any] | None = None,
    annotations: dict[str, str] | None = None,
) -> Network:
    """A network called library, as the API server gives it."""
    metadata = {"name": "library", "namespace": "shelf", "uid": "u-1", "generation": 7}
    return parse({
        "metadata": metadata | ({"annotations": annotations} if annotations else {}),
        "spec": spec or {},
        "status": status or {},
    })


def plan(of: Network, **changes: Any) -> Plan:
    """What the planner would decide for a network without anything yet."""
    managed = of.spec.broker.managed is not None
    values: dict[str, Any] = {
        "node_image": SETTINGS.node_image,
        "broker_image": SETTINGS.broker_image,
        "credentials": CREDENTIALS if managed else None,
        "tokens": None if of.spec.access.tokens == "Disabled" else TOKENS,
        "broker_digest": "0123456789abcdef",
        "seed_replicas": of.spec.seeds.replicas,
        "peer_replicas": of.spec.peers.replicas,
    }
    return Plan(**values | changes)


def live(item: dict[str, Any], *, ready: int | None = None, updated: int | None = None) -> dict[str, Any]:
    """A StatefulSet as the API server has it, with that many pods ready and of the newest template."""
    found = copy.deepcopy(item)
    replicas = found["spec"]["replicas"]
    found["metadata"] |= {"uid": "s-1", "resourceVersion": "5", "generation": 2}
    found["status"] = {
        "observedGeneration": 2,
        "replicas": replicas,
        "readyReplicas": replicas if ready is None else ready,
        "updatedReplicas": replicas if updated is None else updated,
    }
    return found
