"""Seeds and peers: StatefulSets, or a DaemonSet of peers."""

from __future__ import annotations

from minga_operator.crd import GROUP
from minga_operator.fields import Model
from minga_operator.network import RESTARTED_AT, Network, Plan, Rendering
from minga_operator.podspec import Placement, Resources
from minga_operator.resources import access, amqp, common, config, memory, peer_tls, storage
from minga_operator.resources.common import Object

CONFIG_DIGEST = f"{GROUP}/config-digest"
TEMPLATE_DIGEST = f"{GROUP}/template-digest"
"""On a StatefulSet: tells whether its pods are to be replaced, before it is applied."""
_GRACE_SECONDS = 30
"""A node drains within 10 s of SIGTERM; the rest is for a slow machine."""


def seeds(network: Network, plan: Plan) -> Object:
    """The seeds' StatefulSet."""
    return _stateful_set(network, plan, common.SEED, plan.seed_replicas, plan.seed_partition)


def peers(network: Network, plan: Plan) -> Object:
    """The peers' StatefulSet or DaemonSet."""
    if network.spec.peers.mode == "DaemonSet":
        return _daemon_set(network, plan)
    return _stateful_set(network, plan, common.PEER, plan.peer_replicas, plan.peer_partition)


def rendering(network: Network, plan: Plan, component: str) -> Rendering:
    """What this operator makes a group's pods of."""
    stateful = component == common.SEED or network.spec.peers.mode == "StatefulSet"
    template = _template(network, plan, component, stateful=stateful)
    return Rendering(template, config.node(network, component))


def remembering(network: Network, plan: Plan, component: str, fresh: Rendering) -> tuple[Object, str]:
    """The template that is to be, which may be an earlier one than that, and the memory of it."""
    held = plan.held.get(component)
    if held is not None:
        return held.rendering.template, held.text
    return fresh.template, memory.text(network, plan, component, fresh)


def restarted(network: Network) -> dict[str, str]:
    """A pod's annotation that says when a restart was asked for."""
    return {RESTARTED_AT: network.restarted_at} if network.restarted_at else {}


def pod_resources(wanted: Resources) -> Object:
    """A container's ``resources``; empty when nothing was asked for."""
    found: Object = {}
    if wanted.requests:
        found["requests"] = {key: str(value) for key, value in wanted.requests.items()}
    if wanted.limits:
        found["limits"] = {key: str(value) for key, value in wanted.limits.items()}
    return found


def retention(network: Network) -> Object:
    """What becomes of a StatefulSet's volumes."""
    wanted: Model = network.spec.persistent_volume_claim_retention_policy
    return wanted.model_dump(by_alias=True)


def _stateful_set(network: Network, plan: Plan, component: str, replicas: int, partition: int) -> Object:
    group = network.spec.seeds if component == common.SEED else network.spec.peers
    template, text = remembering(network, plan, component, rendering(network, plan, component))
    spec: Object = {
        "serviceName": common.nodes_name(network),
        "replicas": replicas,
        "podManagementPolicy": "Parallel",
        "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": partition}},
        "persistentVolumeClaimRetentionPolicy": retention(network),
        "selector": {"matchLabels": common.selector(network, component)},
        "template": template,
    }
    if templates := storage.claim_templates(group.storage):
        spec["volumeClaimTemplates"] = templates
    name = f"{network.name}-{component}"
    annotations = {TEMPLATE_DIGEST: common.digest(template), memory.RENDERED: text}
    return common.make(network, "apps/v1", "StatefulSet", name, component, annotations, spec=spec)


def _daemon_set(network: Network, plan: Plan) -> Object:
    template, text = remembering(network, plan, common.PEER, rendering(network, plan, common.PEER))
    spec = {
        "selector": {"matchLabels": common.selector(network, common.PEER)},
        "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1}},
        "template": template,
    }
    name = common.peer_name(network)
    annotations = {memory.RENDERED: text}
    return common.make(network, "apps/v1", "DaemonSet", name, common.PEER, annotations, spec=spec)


def _template(network: Network, plan: Plan, component: str, *, stateful: bool) -> Object:
    spec = network.spec
    group = spec.seeds if component == common.SEED else spec.peers
    pod: Object = {
        # A Service called minga would set MINGA_PORT, which is a key of the node's configuration.
        "enableServiceLinks": False,
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": _GRACE_SECONDS,
        "securityContext": common.restricted_pod(common.USER),
        "containers": [_container(network, plan, component, stateful=stateful)],
        "volumes": [
            {"name": "config", "configMap": {"name": common.config_name(network)}},
            {"name": "tmp", "emptyDir": {}},
            *access.volumes(network),
            *amqp.volumes(network, plan),
            *peer_tls.volumes(network),
            *storage.pod_volumes(group.storage, stateful=stateful),
        ],
        **placement(network, group, component),
    }
    if spec.image.pull_secrets:
        pod["imagePullSecrets"] = [{"name": name} for name in spec.image.pull_secrets]
    shared = spec.sharing.volume
    if shared is not None and component == common.SEED:
        claim = {"claimName": shared.claim_name, "readOnly": shared.read_only}
        pod["volumes"].append({"name": "shared", "persistentVolumeClaim": claim})
    annotations = {
        **spec.annotations,
        CONFIG_DIGEST: config.digest(network, component),
        **amqp.noted(plan),
        **restarted(network),
        "prometheus.io/scrape": "true",
        "prometheus.io/port": str(common.REST_PORT),
        "prometheus.io/path": "/metrics",
    }
    found = {**spec.labels, **common.labels(network, component), **common.NODE_ROLE}
    return {"metadata": {"labels": found, "annotations": annotations}, "spec": pod}


def _container(network: Network, plan: Plan, component: str, *, stateful: bool) -> Object:
    file = "$(MINGA_NAME).json" if component == common.SEED else "peer.json"
    mounts: list[Object] = [
        {"name": "config", "mountPath": "/etc/minga", "readOnly": True},
        {"name": storage.VOLUME, "mountPath": config.DIRECTORY},
        {"name": "tmp", "mountPath": "/tmp"},
        *access.mounts(network),
        *amqp.mounts(plan),
        *peer_tls.mounts(network),
    ]
    shared = network.spec.sharing.volume
    if shared is not None and component == common.SEED:
        path = f"{config.DIRECTORY}/{shared.folder}"
        mounts.append({"name": "shared", "mountPath": path, "readOnly": shared.read_only})
    group = network.spec.seeds if component == common.SEED else network.spec.peers
    return {
        "name": "node",
        "image": plan.node_image,
        "imagePullPolicy": network.spec.image.pull_policy,
        "args": ["--config", f"/etc/minga/{file}"],
        "env": [
            *_identity(network, stateful=stateful),
            amqp.variable(network, plan),
            # By the environment, of which a node of an earlier version ignores what it does not know.
            {"name": "MINGA_STORAGE_LIMIT_FILE", "value": f"/etc/minga/{config.limit_file(component)}"},
            *_tracing(network),
        ],
        "ports": [
            {"name": "rest", "containerPort": common.REST_PORT, "protocol": "TCP"},
            {"name": "grpc", "containerPort": common.GRPC_PORT, "protocol": "TCP"},
            {"name": "data", "containerPort": common.DATA_PORT, "protocol": "TCP"},
        ],
        "readinessProbe": _probe("/readyz", periodSeconds=3, failureThreshold=3),
        "livenessProbe": _probe("/healthz", periodSeconds=10, failureThreshold=6, initialDelaySeconds=20),
        "resources": pod_resources(group.resources),
        "securityContext": common.restricted_container(),
        "volumeMounts": mounts,
    }


def _probe(path: str, **times: int) -> Object:
    return {"httpGet": {"path": path, "port": "rest"}, "timeoutSeconds": 5, **times}


def _identity(network: Network, *, stateful: bool) -> list[Object]:
    """A peer's id and address last as long as its files: by the pod's name, or by the Kubernetes node's."""
    if stateful:
        host = f"$(MINGA_NAME).{common.nodes_name(network)}.{network.namespace}.svc"
        return [
            {"name": "MINGA_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            {"name": "MINGA_ADVERTISE", "value": host},
        ]
    return [
        {"name": "KUBERNETES_NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
        {"name": "MINGA_NAME", "value": f"{common.peer_name(network)}-$(KUBERNETES_NODE)"},
        {"name": "MINGA_ADVERTISE", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
    ]


def _tracing(network: Network) -> list[Object]:
    """OpenTelemetry's own variables, which the node reads."""
    wanted = network.spec.tracing
    if wanted is None:
        return []
    return [
        {"name": "OTEL_EXPORTER_OTLP_ENDPOINT", "value": wanted.endpoint},
        {"name": "OTEL_TRACES_SAMPLER", "value": "parentbased_traceidratio"},
        {"name": "OTEL_TRACES_SAMPLER_ARG", "value": f"{wanted.sample_percent / 100:g}"},
    ]


def placement(network: Network, group: Placement, component: str) -> Object:
    """Where a group's pods run, as fields of their spec; spread over Kubernetes nodes by default."""
    spread = group.topology_spread_constraints or [
        {
            "maxSkew": 1,
            "topologyKey": "kubernetes.io/hostname",
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": common.selector(network, component)},
        }
    ]
    found: Object = {"topologySpreadConstraints": spread}
    if group.node_selector:
        found["nodeSelector"] = group.node_selector
    if group.tolerations:
        found["tolerations"] = group.tolerations
    if group.affinity:
        found["affinity"] = group.affinity
    if group.priority_class_name:
        found["priorityClassName"] = group.priority_class_name
    return found
