"""Cluster DNS: CoreDNS's configuration, and the service by which pods reach it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .layout import DNS_ADDRESS, Layout

# Nothing is cached, so a test sees a change at once. Names outside the cluster don't exist, and that is said
# at once instead of after a resolver's time-out.
_COREFILE = """\
cluster.local:53 in-addr.arpa:53 {{
    errors
    ready 127.0.0.1:8181
    kubernetes cluster.local in-addr.arpa {{
        kubeconfig {kubeconfig}
        pods insecure
        ttl 2
    }}
}}
.:53 {{
    template ANY ANY {{
        rcode NXDOMAIN
    }}
}}
"""


def write_corefile(path: Path, kubeconfig: Path) -> Path:
    """Write the configuration and return its path."""
    path.write_text(_COREFILE.format(kubeconfig=kubeconfig))
    return path


def dns_service(layout: Layout) -> list[dict[str, Any]]:
    """The Service and the EndpointSlice that lead from the pods' resolver address to our process."""
    metadata = {"name": "kube-dns", "namespace": "kube-system"}
    ports = [
        {"name": f"dns-{protocol.lower()}", "port": 53, "protocol": protocol} for protocol in ("UDP", "TCP")
    ]
    return [
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {**metadata, "labels": {"k8s-app": "kube-dns"}},
            "spec": {"clusterIP": DNS_ADDRESS, "ports": ports},
        },
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {**metadata, "labels": {"kubernetes.io/service-name": "kube-dns"}},
            "addressType": "IPv4",
            "ports": ports,
            "endpoints": [{"addresses": [layout.control_address], "conditions": {"ready": True}}],
        },
    ]
