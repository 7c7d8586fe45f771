"""The kinds that a network is made of, and where the API server keeps them."""

from __future__ import annotations

from dataclasses import dataclass

from minga_operator.crd import GROUP, KIND, PLURAL, VERSION

MADE_BY_US = "app.kubernetes.io/managed-by=minga-operator"
OF_A_NETWORK = "app.kubernetes.io/name=minga,app.kubernetes.io/instance"


@dataclass(frozen=True)
class ObjectKind:
    """One kind of object."""

    api_version: str
    name: str
    plural: str
    selector: str = MADE_BY_US
    """Which of its objects concern us."""
    ours: bool = True
    """Whether we make and prune its objects; the others we only look at."""
    optional: bool = False
    """Whether a cluster may not know it."""
    apart: bool = False
    """Whether no pod needs its objects to start and be safe: where they cannot be, the rest is done."""

    @property
    def root(self) -> str:
        """Path of the API group."""
        return f"/api/{self.api_version}" if "/" not in self.api_version else f"/apis/{self.api_version}"

    def path(self, namespace: str | None = None, name: str | None = None) -> str:
        """Path of one object, of a namespace's collection, or of all objects."""
        where = f"/namespaces/{namespace}" if namespace else ""
        return f"{self.root}{where}/{self.plural}" + (f"/{name}" if name else "")


NETWORK = ObjectKind(f"{GROUP}/{VERSION}", KIND, PLURAL, selector="", ours=False)
DEFINITION = ObjectKind(
    "apiextensions.k8s.io/v1",
    "CustomResourceDefinition",
    "customresourcedefinitions",
    selector="",
    ours=False,
)
EVENT = ObjectKind("events.k8s.io/v1", "Event", "events", ours=False)
SECRET = ObjectKind("v1", "Secret", "secrets")
SERVICE = ObjectKind("v1", "Service", "services")
CLAIM = ObjectKind("v1", "PersistentVolumeClaim", "persistentvolumeclaims", OF_A_NETWORK, ours=False)
POD = ObjectKind("v1", "Pod", "pods", OF_A_NETWORK, ours=False)
STATEFUL_SET = ObjectKind("apps/v1", "StatefulSet", "statefulsets")
DAEMON_SET = ObjectKind("apps/v1", "DaemonSet", "daemonsets")
RABBITMQ_CLUSTER = ObjectKind("rabbitmq.com/v1beta1", "RabbitmqCluster", "rabbitmqclusters", ours=False)
HTTP_ROUTE = ObjectKind("gateway.networking.k8s.io/v1", "HTTPRoute", "httproutes", optional=True, apart=True)

WATCHED = (
    ObjectKind("v1", "ConfigMap", "configmaps"),
    SECRET,
    SERVICE,
    STATEFUL_SET,
    DAEMON_SET,
    ObjectKind("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets", apart=True),
    ObjectKind("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies"),
    ObjectKind("networking.k8s.io/v1", "Ingress", "ingresses", apart=True),
    HTTP_ROUTE,
    CLAIM,
    POD,
    ObjectKind("monitoring.coreos.com/v1", "PodMonitor", "podmonitors", optional=True, apart=True),
    ObjectKind("monitoring.coreos.com/v1", "PrometheusRule", "prometheusrules", optional=True, apart=True),
)
NEEDED = tuple(kind for kind in WATCHED if not kind.apart)
"""What must be seen of a network before anything of it is changed: what is unknown is not absent."""
BY_NAME = {kind.name: kind for kind in (*WATCHED, NETWORK, EVENT)}
