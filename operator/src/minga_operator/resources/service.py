"""Services, and the Ingress or HTTPRoute in front of them."""

from __future__ import annotations

from minga_operator.kinds import HTTP_ROUTE
from minga_operator.network import Network, Plan
from minga_operator.resources import access, common
from minga_operator.resources.common import Object


def _port(name: str, number: int, app_protocol: str | None = None) -> Object:
    found: Object = {"name": name, "port": number, "targetPort": name, "protocol": "TCP"}
    return {**found, "appProtocol": app_protocol} if app_protocol else found


def nodes(network: Network) -> Object:
    """Headless: stable names of seeds and peers, there before they are ready: they join by them."""
    spec = {
        "clusterIP": "None",
        "publishNotReadyAddresses": True,
        "selector": common.selector(network),
        "ports": [
            _port("rest", common.REST_PORT),
            _port("grpc", common.GRPC_PORT),
            _port("data", common.DATA_PORT),
        ],
    }
    return common.make(network, "v1", "Service", common.nodes_name(network), spec=spec)


def client(network: Network) -> Object:
    """REST of whichever node is ready; a client keeps to one, for a download is known only where it began."""
    wanted = network.spec.service
    spec = {
        "type": wanted.type,
        "sessionAffinity": "ClientIP",
        "selector": common.selector(network),
        "ports": [_port("rest", common.REST_PORT, "http")],
    }
    return common.make(
        network, "v1", "Service", network.name, annotations=wanted.annotations or None, spec=spec
    )


def local(network: Network) -> Object:
    """REST of the peer on the client's own Kubernetes node."""
    spec = {
        "type": "ClusterIP",
        "internalTrafficPolicy": "Local",
        "selector": common.selector(network, common.PEER),
        "ports": [_port("rest", common.REST_PORT, "http")],
    }
    return common.make(network, "v1", "Service", f"{network.name}-local", spec=spec)


def ingress(network: Network) -> list[Object]:
    """The Ingress, where the spec asks for one."""
    wanted = network.spec.ingress
    if wanted is None:
        return []
    backend = {"service": {"name": network.name, "port": {"name": "rest"}}}
    path = {"path": "/", "pathType": "Prefix", "backend": backend}
    spec: Object = {"rules": [{"host": wanted.host, "http": {"paths": [path]}}]}
    if wanted.class_name:
        spec["ingressClassName"] = wanted.class_name
    if wanted.tls_secret_name:
        spec["tls"] = [{"hosts": [wanted.host], "secretName": wanted.tls_secret_name}]
    return [
        common.make(
            network,
            "networking.k8s.io/v1",
            "Ingress",
            network.name,
            annotations=wanted.annotations or None,
            spec=spec,
        )
    ]


def route(network: Network, plan: Plan) -> list[Object]:
    """The HTTPRoute, where the spec asks for one and the cluster has that kind."""
    wanted = network.spec.gateway
    if wanted is None or HTTP_ROUTE.name not in plan.kinds:
        return []
    parent: Object = {"name": wanted.name}
    if wanted.namespace:
        parent["namespace"] = wanted.namespace
    if wanted.section_name:
        parent["sectionName"] = wanted.section_name
    path = {"type": "PathPrefix", "value": "/"}
    backend = {"name": network.name, "port": common.REST_PORT}
    spec: Object = {
        "parentRefs": [parent],
        "rules": [{"matches": [{"path": path}], "backendRefs": [backend]}],
    }
    if wanted.hostnames:
        spec["hostnames"] = wanted.hostnames
    return [
        common.make(
            network,
            HTTP_ROUTE.api_version,
            HTTP_ROUTE.name,
            network.name,
            annotations=wanted.annotations or None,
            spec=spec,
        )
    ]


def binding(network: Network, plan: Plan) -> Object:
    """The Secret by which applications are bound to the network (servicebinding.io)."""
    host = f"{network.name}.{network.namespace}.svc"
    data = {
        "type": "minga",
        "provider": "minga-operator",
        "host": host,
        "port": str(common.REST_PORT),
        "uri": f"http://{host}:{common.REST_PORT}",
        **access.binding(plan.tokens),
    }
    encoded = {key: common.base64(value) for key, value in data.items()}
    return common.make(
        network,
        "v1",
        "Secret",
        common.binding_name(network),
        type="servicebinding.io/minga",
        data=encoded,
    )
