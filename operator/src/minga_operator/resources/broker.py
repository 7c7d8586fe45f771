"""The managed RabbitMQ. Its image may be the public one or a distribution's: all is said in mounted files."""

from __future__ import annotations

import base64
import hashlib
import json

from minga_operator.model import ManagedBroker
from minga_operator.network import Credentials, Network, Plan, Rendering
from minga_operator.resources import common, memory, storage, workload
from minga_operator.resources.common import Object

USER = 999
"""The user that both the public image and Debian's package run RabbitMQ as."""
_HOME = "/var/lib/rabbitmq"
_FILES = "/etc/minga"


def new_credentials(network: Network, credentials: Credentials) -> Object:
    """The Secret that is made once: applied never again, so that what is in it stays."""
    host = f"{common.broker_name(network)}.{network.namespace}.svc"
    uri = f"amqp://{credentials.username}:{credentials.password}@{host}:{common.AMQP_PORT}/"
    data = {
        "username": credentials.username,
        "password": credentials.password,
        "cookie": credentials.cookie,
        "uri": uri,
    }
    encoded = {key: common.base64(value) for key, value in data.items()}
    return common.make(
        network, "v1", "Secret", common.credentials_name(network), common.BROKER, type="Opaque", data=encoded
    )


def objects(network: Network, broker: ManagedBroker, plan: Plan) -> list[Object]:
    """Everything the managed broker is made of, but for the credentials."""
    if plan.credentials is None:
        raise ValueError("a managed broker needs credentials")
    held = plan.held.get(common.BROKER)
    settings = held.rendering.files if held else _settings(network, broker)
    files = _files(network, settings, plan.credentials)
    secret = common.make(
        network,
        "v1",
        "Secret",
        common.broker_name(network),
        common.BROKER,
        type="Opaque",
        data={name: common.base64(content) for name, content in files.items()},
    )
    return [
        secret,
        _service(network, common.broker_name(network), headless=False),
        _service(network, common.brokers_name(network), headless=True),
        _stateful_set(network, broker, plan),
    ]


def rendering(network: Network, plan: Plan) -> Rendering:
    """What this operator makes the broker's pods of. Its files are without secrets."""
    broker = network.spec.broker.managed
    if broker is None or plan.credentials is None:
        raise ValueError("only a managed broker with credentials has pods")
    settings = _settings(network, broker)
    files = _files(network, settings, plan.credentials)
    return Rendering(_template(network, broker, plan, common.digest(files)), settings)


def password_hash(password: str, salt: bytes) -> str:
    """RabbitMQ's `rabbit_password_hashing_sha256`: base64 of a 4-byte salt and SHA-256 of both."""
    return base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()


def _files(network: Network, settings: Object, credentials: Credentials) -> dict[str, str]:
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
    }


def _settings(network: Network, broker: ManagedBroker) -> Object:
    """What the files say that is no secret."""
    lines = [
        f"listeners.tcp.default = {common.AMQP_PORT}",
        f"load_definitions = {_FILES}/definitions.json",
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
            *(
                f"cluster_formation.classic_config.nodes.{ordinal + 1} = "
                f"rabbit@{common.broker_name(network)}-{ordinal}.{_domain(network)}"
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


def _domain(network: Network) -> str:
    return f"{common.brokers_name(network)}.{network.namespace}.svc"


def _service(network: Network, name: str, *, headless: bool) -> Object:
    ports: list[Object] = [
        {"name": "amqp", "port": common.AMQP_PORT, "targetPort": "amqp", "protocol": "TCP"}
    ]
    spec: Object = {"selector": common.selector(network, common.BROKER), "ports": ports}
    if headless:
        # Members find each other before any is ready.
        spec |= {"clusterIP": "None", "publishNotReadyAddresses": True}
        ports += [
            {"name": "epmd", "port": 4369, "targetPort": 4369, "protocol": "TCP"},
            {"name": "cluster", "port": 25672, "targetPort": 25672, "protocol": "TCP"},
        ]
    return common.make(network, "v1", "Service", name, common.BROKER, spec=spec)


def _template(network: Network, broker: ManagedBroker, plan: Plan, digest: str) -> Object:
    security = common.restricted_container()
    mounts = [
        {"name": storage.VOLUME, "mountPath": _HOME},
        {"name": "files", "mountPath": _FILES, "readOnly": True},
        {"name": "etc", "mountPath": "/etc/rabbitmq"},
        {"name": "log", "mountPath": "/var/log/rabbitmq"},
        {"name": "tmp", "mountPath": "/tmp"},
    ]
    port = {"port": "amqp"}
    container = {
        "name": "rabbitmq",
        "image": plan.broker_image,
        "imagePullPolicy": "IfNotPresent",
        "env": [
            {"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            {"name": "HOME", "value": _HOME},
            {"name": "RABBITMQ_CONFIG_FILE", "value": f"{_FILES}/rabbitmq.conf"},
            {"name": "RABBITMQ_ENABLED_PLUGINS_FILE", "value": f"{_FILES}/enabled_plugins"},
            {"name": "RABBITMQ_LOGS", "value": "-"},
            {"name": "RABBITMQ_USE_LONGNAME", "value": "true"},
            {"name": "RABBITMQ_NODENAME", "value": f"rabbit@$(POD_NAME).{_domain(network)}"},
        ],
        "ports": [
            {"name": "amqp", "containerPort": common.AMQP_PORT, "protocol": "TCP"},
            {"name": "metrics", "containerPort": common.BROKER_METRICS_PORT, "protocol": "TCP"},
        ],
        "readinessProbe": {"tcpSocket": port, "periodSeconds": 3, "timeoutSeconds": 3},
        "livenessProbe": {
            "tcpSocket": port,
            "periodSeconds": 15,
            "timeoutSeconds": 5,
            "failureThreshold": 6,
            "initialDelaySeconds": 60,
        },
        "resources": workload.pod_resources(broker.resources),
        "securityContext": security,
        "volumeMounts": mounts,
    }
    # Erlang refuses a cookie that others may read, and a mounted Secret always is the group's.
    cookie = {
        "name": "cookie",
        "image": plan.broker_image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["sh", "-c"],
        "args": [
            f"rm -f {_HOME}/.erlang.cookie && umask 377 && cat {_FILES}/cookie > {_HOME}/.erlang.cookie"
        ],
        "resources": workload.pod_resources(broker.resources),
        "securityContext": security,
        "volumeMounts": mounts[:2],
    }
    pod: Object = {
        "enableServiceLinks": False,
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": 60,
        "securityContext": common.restricted_pod(USER),
        "initContainers": [cookie],
        "containers": [container],
        "volumes": [
            {"name": "files", "secret": {"secretName": common.broker_name(network)}},
            {"name": "etc", "emptyDir": {}},
            {"name": "log", "emptyDir": {}},
            {"name": "tmp", "emptyDir": {}},
            *storage.pod_volumes(broker.storage, stateful=True),
        ],
        **workload.placement(network, broker, common.BROKER),
    }
    annotations = {
        workload.CONFIG_DIGEST: digest,
        **workload.restarted(network),
        "prometheus.io/scrape": "true",
        "prometheus.io/port": str(common.BROKER_METRICS_PORT),
    }
    return {
        "metadata": {"labels": common.labels(network, common.BROKER), "annotations": annotations},
        "spec": pod,
    }


def _stateful_set(network: Network, broker: ManagedBroker, plan: Plan) -> Object:
    template, text = workload.remembering(network, plan, common.BROKER, rendering(network, plan))
    spec: Object = {
        "serviceName": common.brokers_name(network),
        "replicas": broker.replicas,
        "podManagementPolicy": "Parallel",
        "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}},
        "persistentVolumeClaimRetentionPolicy": workload.retention(network),
        "selector": {"matchLabels": common.selector(network, common.BROKER)},
        "template": template,
    }
    if templates := storage.claim_templates(broker.storage):
        spec["volumeClaimTemplates"] = templates
    annotations = {memory.RENDERED: text}
    return common.make(
        network, "apps/v1", "StatefulSet", common.broker_name(network), common.BROKER, annotations, spec=spec
    )
