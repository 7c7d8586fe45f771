"""The files of a managed broker: what is no secret, and who may log in."""

from __future__ import annotations

import base64
import hashlib
import json

from minga_operator.brokerspec import ManagedBroker
from minga_operator.network import Credentials, Network
from minga_operator.resources import common
from minga_operator.resources.common import Object

DIRECTORY = "/etc/minga"


def domain(network: Network) -> str:
    """Of the members' own names."""
    return f"{common.brokers_name(network)}.{network.namespace}.svc"


def files(network: Network, settings: Object, credentials: Credentials) -> dict[str, str]:
    """The mounted files: settings, and who may log in."""
    salt = hashlib.sha256(f"salt {network.uid}".encode()).digest()[:4]
    definitions = {
        "users": [
            {
                "name": credentials.username,
                "password_hash": password_hash(credentials.password, salt),
                "hashing_algorithm": "rabbit_password_hashing_sha256",
                "tags": [],
            }
        ],
        **settings["definitions"],
        "permissions": [
            {"user": credentials.username, "vhost": "/", "configure": ".*", "write": ".*", "read": ".*"}
        ],
    }
    return {
        "rabbitmq.conf": settings["rabbitmq.conf"],
        "definitions.json": json.dumps(definitions, indent=2) + "\n",
        "enabled_plugins": settings["enabled_plugins"],
        "cookie": credentials.cookie,
        "retired": "".join(f"{name}\n" for name in credentials.retired),
    }


def settings(network: Network, broker: ManagedBroker) -> Object:
    """What the files say that is no secret."""
    lines = [
        f"listeners.tcp.default = {common.AMQP_PORT}",
        f"load_definitions = {DIRECTORY}/definitions.json",
        "log.console = true",
        "log.file = false",
        "disk_free_limit.absolute = 64MB",
        f"cluster_name = {network.namespace}.{network.name}",
    ]
    if broker.replicas > 1:
        lines += [
            "cluster_partition_handling = pause_minority",
            # A queue that was declared before all members were there is at those alone, until this adds the
            # others (RabbitMQ 3.13).
            "quorum_queue.continuous_membership_reconciliation.enabled = true",
            f"quorum_queue.continuous_membership_reconciliation.target_group_size = {broker.replicas}",
            "cluster_formation.peer_discovery_backend = classic_config",
            # After 30 tries in vain, of a second each, a new member would begin a cluster of its own, as on a
            # day when names or machines are slow. Better it is not ready yet.
            "cluster_formation.discovery_retry_limit = 3600",
            *(
                f"cluster_formation.classic_config.nodes.{ordinal + 1} = "
                f"rabbit@{common.broker_name(network)}-{ordinal}.{domain(network)}"
                for ordinal in range(broker.replicas)
            ),
        ]
    return {
        "rabbitmq.conf": "\n".join(lines) + "\n",
        "definitions": {
            "vhosts": [_vhost(broker)],
        },
        "enabled_plugins": "[rabbitmq_prometheus].\n",
    }


def _vhost(broker: ManagedBroker) -> Object:
    """Where members may go, queues of no type of their own are replicated.

    RabbitMQ before 4 reads the type beside the name, RabbitMQ 4 in the metadata.
    """
    if broker.replicas == 1:
        return {"name": "/", "default_queue_type": "classic"}
    metadata = {"description": "", "tags": [], "default_queue_type": "quorum"}
    return {"name": "/", "default_queue_type": "quorum", "metadata": metadata}


def password_hash(password: str, salt: bytes) -> str:
    """RabbitMQ's `rabbit_password_hashing_sha256`: base64 of a 4-byte salt and SHA-256 of both."""
    return base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()
