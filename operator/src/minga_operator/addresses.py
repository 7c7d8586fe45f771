"""Where people and programs go to reach a network. Pure."""

from __future__ import annotations

from minga_operator.network import Network
from minga_operator.resources import common
from minga_operator.resources.common import Object

PENDING = "pending"
"""The address of a load balancer that nobody has given one yet."""


def url(network: Network, service: Object | None) -> str:
    """The best address there is: by the Ingress, the Gateway, the load balancer, or inside the cluster."""
    ingress, gateway = network.spec.ingress, network.spec.gateway
    if ingress is not None:
        return f"{'https' if ingress.tls_secret_name else 'http'}://{ingress.host}"
    if gateway is not None and gateway.hostnames:
        # Whether the listener speaks TLS, only the Gateway knows: without TLS it sends on to it, as most do.
        return f"http://{gateway.hostnames[0]}"
    host = address(network, service)
    if host is None or host == PENDING:
        host = f"{network.name}.{network.namespace}.svc"
    return f"http://{f'[{host}]' if ':' in host else host}:{common.REST_PORT}"


def address(network: Network, service: Object | None) -> str | None:
    """What the load balancer is reached by; None where there is to be none."""
    if network.spec.service.type != "LoadBalancer":
        return None
    state = ((service or {}).get("status") or {}).get("loadBalancer") or {}
    for given in state.get("ingress") or ():
        if found := given.get("hostname") or given.get("ip"):
            return str(found)
    return PENDING
