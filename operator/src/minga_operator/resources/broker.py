"""The managed RabbitMQ. Its image may be the public one or a distribution's: all is said in mounted files."""

from __future__ import annotations

from collections.abc import Mapping

from minga_operator.brokerspec import ManagedBroker
from minga_operator.network import ROTATE_AT, Network, Plan, Rendering
from minga_operator.podspec import Resources
from minga_operator.resources import brokerfiles, common, memory, storage, workload
from minga_operator.resources.common import Object

USER = 999
"""The user that both the public image and Debian's package run RabbitMQ as."""
_CONTAINER = "rabbitmq"
_HOME = "/var/lib/rabbitmq"
_FILES = brokerfiles.DIRECTORY
_KNOWN = "/tmp/definitions"
"""Checksum of the definitions that the broker has read: at its start, or when they changed."""
_FOLLOW = f"""\
trap 'exit 0' TERM
pause() {{ sleep "$1" & wait $!; }}
while pause 5; do
  now=$(cksum < {_FILES}/definitions.json)
  [ "$now" = "$(cat {_KNOWN})" ] && continue
  rabbitmqctl -q import_definitions {_FILES}/definitions.json || continue
  echo "$now" > {_KNOWN}
  echo 'the credentials are others now'
  # Nodes have read of the new user by then: whoever is removed is disconnected.
  pause 120
  while read -r user; do
    rabbitmqctl -q delete_user "$user" < /dev/null || true
  done < {_FILES}/retired
done
"""
"""Brings changed credentials to a broker that runs. The operator needs no right to enter pods for it."""
_SMALL = {"cpu": ("10m", "500m"), "memory": ("16Mi", "256Mi")}
"""What that asks for and may use, where the broker's resources are bounded: mostly it sleeps."""


def credentials_secret(network: Network, values: Mapping[str, str]) -> Object:
    """The Secret with what nodes log in by: applied never again, so that what others put there is seen."""
    annotations = {ROTATE_AT: network.rotate_at} if network.rotate_at else None
    return _secret(network, common.credentials_name(network), values, annotations)


def cookie_secret(network: Network, cookie: str) -> Object:
    """The Secret with what members know each other by, made once."""
    return _secret(network, common.cookie_name(network), {"cookie": cookie})


def runs(pod: Object) -> bool:
    """Whether a pod is a member of a broker that runs, and is to go on."""
    metadata = pod["metadata"]
    component = (metadata.get("labels") or {}).get(common.COMPONENT)
    if component != common.BROKER or "deletionTimestamp" in metadata:
        return False
    containers = (pod.get("status") or {}).get("containerStatuses") or ()
    return any(item["name"] == _CONTAINER and "running" in (item.get("state") or {}) for item in containers)


def objects(network: Network, broker: ManagedBroker, plan: Plan) -> list[Object]:
    """Everything the managed broker is made of, but for the credentials."""
    if plan.credentials is None:
        raise ValueError("a managed broker needs credentials")
    held = plan.held.get(common.BROKER)
    settings = held.rendering.files if held else brokerfiles.settings(network, broker)
    files = brokerfiles.files(network, settings, plan.credentials)
    return [
        _secret(network, common.broker_name(network), files),
        _service(network, common.broker_name(network), headless=False),
        _service(network, common.brokers_name(network), headless=True),
        _stateful_set(network, broker, plan),
    ]


def rendering(network: Network, plan: Plan) -> Rendering:
    """What this operator makes the broker's pods of. Credentials are no part of it: it follows them."""
    broker = network.spec.broker.managed
    if broker is None:
        raise ValueError("only a managed broker has pods")
    settings = brokerfiles.settings(network, broker)
    return Rendering(_template(network, broker, plan, common.digest(settings)), settings)


def _secret(
    network: Network, name: str, values: Mapping[str, str], annotations: dict[str, str] | None = None
) -> Object:
    data = {key: common.base64(value) for key, value in values.items()}
    return common.make(
        network, "v1", "Secret", name, common.BROKER, annotations=annotations, type="Opaque", data=data
    )


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
        "name": _CONTAINER,
        "image": plan.broker_image,
        "imagePullPolicy": "IfNotPresent",
        "env": [
            {"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            {"name": "HOME", "value": _HOME},
            {"name": "RABBITMQ_CONFIG_FILE", "value": f"{_FILES}/rabbitmq.conf"},
            {"name": "RABBITMQ_ENABLED_PLUGINS_FILE", "value": f"{_FILES}/enabled_plugins"},
            {"name": "RABBITMQ_LOGS", "value": "-"},
            {"name": "RABBITMQ_USE_LONGNAME", "value": "true"},
            {"name": "RABBITMQ_NODENAME", "value": f"rabbit@$(POD_NAME).{brokerfiles.domain(network)}"},
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
            f"cksum < {_FILES}/definitions.json > {_KNOWN} &&"
            f" rm -f {_HOME}/.erlang.cookie && umask 377 && cat {_FILES}/cookie > {_HOME}/.erlang.cookie"
        ],
        "resources": workload.pod_resources(broker.resources),
        "securityContext": security,
        "volumeMounts": [*mounts[:2], mounts[-1]],
    }
    follower = {
        "name": memory.FOLLOWER,
        "image": plan.broker_image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["sh", "-c"],
        "args": [_FOLLOW],
        "env": container["env"],
        "resources": _small(broker.resources),
        "securityContext": security,
        "volumeMounts": [*mounts[:2], mounts[-1]],
    }
    pod: Object = {
        "enableServiceLinks": False,
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": 60,
        "securityContext": common.restricted_pod(USER),
        "initContainers": [cookie],
        "containers": [container, follower],
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


def _small(wanted: Resources) -> Object:
    """Resources of a container that hardly does anything, bounded where the broker's are."""
    found = {
        "requests": {key: _SMALL[key][0] for key in wanted.requests if key in _SMALL},
        "limits": {key: _SMALL[key][1] for key in wanted.limits if key in _SMALL},
    }
    return {key: value for key, value in found.items() if value}


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
