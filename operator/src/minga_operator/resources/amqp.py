"""How nodes are told where the broker is: by a file that they follow, so that a new password restarts nobody.

A node of the first release does not know the file, and has the address in its environment. Whoever has it so
keeps it so until the image is another one: which version is in an image, nothing tells.
"""

from __future__ import annotations

from minga_operator.crd import GROUP
from minga_operator.network import Network, Plan
from minga_operator.resources import common
from minga_operator.resources.common import Object

DIRECTORY = "/etc/minga-broker"
FILE = "uri"
VOLUME = "broker"
VARIABLE = "MINGA_BROKER_URL"
DIGEST = f"{GROUP}/broker-digest"
"""On pods that have the address in their environment: another one restarts them."""


def secret(network: Network) -> tuple[str, str]:
    """Name and key of the Secret that holds the AMQP URI."""
    broker = network.spec.broker
    if broker.external is not None:
        return broker.external.secret_name, broker.external.key
    if broker.cluster is not None:
        return f"{broker.cluster.name}-default-user", "connection_string"
    return common.credentials_name(network), "uri"


def volumes(network: Network, plan: Plan) -> list[Object]:
    """Volumes of a pod."""
    if plan.by_environment:
        return []
    name, key = secret(network)
    if network.spec.broker.managed is not None:
        key = "uris"
    # Readable for the pod's group alone, which is the node's.
    source: Object = {"secretName": name, "defaultMode": 0o440, "items": [{"key": key, "path": FILE}]}
    return [{"name": VOLUME, "secret": source | _optional(network)}]


def mounts(plan: Plan) -> list[Object]:
    """Where a node's container has it: the whole directory, for the kubelet renews no single file."""
    if plan.by_environment:
        return []
    return [{"name": VOLUME, "mountPath": DIRECTORY, "readOnly": True}]


def variable(network: Network, plan: Plan) -> Object:
    """The variable of a node that says it."""
    if not plan.by_environment:
        return {"name": f"{VARIABLE}_FILE", "value": f"{DIRECTORY}/{FILE}"}
    name, key = secret(network)
    reference: Object = {"name": name, "key": key}
    return {"name": VARIABLE, "valueFrom": {"secretKeyRef": reference | _optional(network)}}


def noted(plan: Plan) -> dict[str, str]:
    """Annotations of a pod."""
    return {DIGEST: plan.broker_digest} if plan.by_environment else {}


def in_environment(live: Object | None, image: str) -> bool:
    """Whether a workload's pods are of that image and have the address in their environment."""
    containers = live["spec"]["template"]["spec"]["containers"] if live is not None else ()
    return any(
        container.get("image") == image
        and any(item["name"] == VARIABLE for item in container.get("env") or ())
        for container in containers
    )


def kept_digest(live: Object | None) -> str:
    """The digest that a workload's pods have; empty where they have none."""
    if live is None:
        return ""
    return str((live["spec"]["template"]["metadata"].get("annotations") or {}).get(DIGEST, ""))


def _optional(network: Network) -> Object:
    # A Secret that is not there yet keeps nobody from sharing: events travel by gossip until it comes.
    return {} if network.spec.broker.managed is not None else {"optional": True}
