"""Names, labels and metadata that all objects of a network have."""

from __future__ import annotations

import base64 as _base64
import hashlib
import json
from typing import Any

from minga_operator.crd import GROUP, KIND, VERSION
from minga_operator.network import Network

Object = dict[str, Any]

MANAGER = "minga-operator"
INSTANCE = "app.kubernetes.io/instance"
COMPONENT = "app.kubernetes.io/component"
MANAGED = {"app.kubernetes.io/managed-by": MANAGER}
NODE_ROLE = {f"{GROUP}/role": "node"}
SEED, PEER, BROKER = "seed", "peer", "broker"

REST_PORT, GRPC_PORT, DATA_PORT, AMQP_PORT, BROKER_METRICS_PORT = 5000, 50051, 50052, 5672, 15692
USER = 65532


def selector(network: Network, component: str | None = None) -> dict[str, str]:
    """Labels by which pods are found; never to be changed, because selectors are immutable."""
    found = {"app.kubernetes.io/name": "minga", INSTANCE: network.name}
    return {**found, COMPONENT: component} if component else {**found, **NODE_ROLE}


def labels(network: Network, component: str | None = None) -> dict[str, str]:
    """Labels of an object."""
    found = {"app.kubernetes.io/name": "minga", INSTANCE: network.name, "app.kubernetes.io/part-of": "minga"}
    return {**found, **MANAGED, **({COMPONENT: component} if component else {})}


def owner_reference(network: Network) -> Object:
    """By which an object goes when the network goes."""
    return {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": KIND,
        "name": network.name,
        "uid": network.uid,
        "controller": True,
    }


def make(
    network: Network,
    api_version: str,
    kind: str,
    name: str,
    component: str | None = None,
    annotations: dict[str, str] | None = None,
    **content: Any,
) -> Object:
    """An object in the network's namespace that goes when the network goes."""
    metadata: Object = {
        "name": name,
        "namespace": network.namespace,
        "labels": labels(network, component),
        "ownerReferences": [owner_reference(network)],
    }
    if annotations:
        metadata["annotations"] = dict(annotations)
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **content}


def digest(content: Any) -> str:
    """Short stable digest of anything that JSON can say."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def seed_name(network: Network) -> str:
    """Name of the seeds' StatefulSet."""
    return f"{network.name}-seed"


def peer_name(network: Network) -> str:
    """Name of the peers' StatefulSet or DaemonSet."""
    return f"{network.name}-peer"


def nodes_name(network: Network) -> str:
    """Name of the headless Service that gives seeds and peers their DNS names."""
    return f"{network.name}-nodes"


def config_name(network: Network) -> str:
    """Name of the nodes' ConfigMap."""
    return f"{network.name}-config"


def broker_name(network: Network) -> str:
    """Name of the managed broker's StatefulSet, Service and configuration."""
    return f"{network.name}-broker"


def brokers_name(network: Network) -> str:
    """Name of the headless Service of the broker's pods."""
    return f"{network.name}-brokers"


def credentials_name(network: Network) -> str:
    """Name of the Secret with the managed broker's credentials."""
    return f"{network.name}-broker-credentials"


def cookie_name(network: Network) -> str:
    """Name of the Secret with the cookie of the managed broker's members."""
    return f"{network.name}-broker-cookie"


def tokens_name(network: Network) -> str:
    """Name of the Secret with the tokens that the operator makes."""
    return f"{network.name}-tokens"


def certificate_name(network: Network) -> str:
    """Name of the Secret with the certificate of the nodes that the operator makes."""
    return f"{network.name}-peer-tls"


def authority_name(network: Network) -> str:
    """Name of the Secret with the authority that it is of; no pod has that one."""
    return f"{network.name}-peer-ca"


def binding_name(network: Network) -> str:
    """Name of the service binding Secret."""
    return f"{network.name}-binding"


def restricted_pod(group: int) -> Object:
    """Pod security context of the restricted standard."""
    return {
        "runAsNonRoot": True,
        "runAsUser": group,
        "runAsGroup": group,
        "fsGroup": group,
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def restricted_container() -> Object:
    """Container security context of the restricted standard."""
    return {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }


def base64(text: str) -> str:
    """A Secret's value."""
    return _base64.b64encode(text.encode()).decode()
