"""The kinds that a network is made of, and where the API server keeps them."""

from __future__ import annotations

from dataclasses import dataclass

from minga_operator.crd import GROUP, KIND, PLURAL, VERSION

MADE_BY_US = "app.kubernetes.io/managed-by=minga-operator"
OF_A_NETWORK = "app.kubernetes.io/name=minga,app.kubernetes.io/instance"


@dataclass(frozen=True)
class Kind:
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


NETWORK = Kind(f"{GROUP}/{VERSION}", KIND, PLURAL, selector="", ours=False)
DEFINITION = Kind(
    "apiextensions.k8s.io/v1",
    "CustomResourceDefinition",
    "customresourcedefinitions",
    selector="",
    ours=False,
)
EVENT = Kind("events.k8s.io/v1", "Event", "events", ours=False)
SECRET = Kind("v1", "Secret", "secrets")
SERVICE = Kind("v1", "Service", "services")
CLAIM = Kind("v1", "PersistentVolumeClaim", "persistentvolumeclaims", OF_A_NETWORK, ours=False)
POD = Kind("v1", "Pod", "pods", OF_A_NETWORK, ours=False)
STATEFUL_SET = Kind("apps/v1", "StatefulSet", "statefulsets")
DAEMON_SET = Kind("apps/v1", "DaemonSet", "daemonsets")
RABBITMQ_CLUSTER = Kind("rabbitmq.com/v1beta1", "RabbitmqCluster", "rabbitmqclusters", ours=False)
HTTP_ROUTE = Kind("gateway.networking.k8s.io/v1", "HTTPRoute", "httproutes", optional=True, apart=True)

WATCHED = (
    Kind("v1", "ConfigMap", "configmaps"),
    SECRET,
    SERVICE,
    STATEFUL_SET,
    DAEMON_SET,
    Kind("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets", apart=True),
    Kind("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies"),
    Kind("networking.k8s.io/v1", "Ingress", "ingresses", apart=True),
    HTTP_ROUTE,
    CLAIM,
    POD,
    Kind("monitoring.coreos.com/v1", "PodMonitor", "podmonitors", optional=True, apart=True),
    Kind("monitoring.coreos.com/v1", "PrometheusRule", "prometheusrules", optional=True, apart=True),
)
NEEDED = tuple(kind for kind in WATCHED if not kind.apart)
"""What must be seen of a network before anything of it is changed: what is unknown is not absent."""
BY_NAME = {kind.name: kind for kind in (*WATCHED, NETWORK, EVENT)}
