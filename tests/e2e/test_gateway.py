"""A way in by the Gateway API: its own definitions judge the route, as no schema of ours could."""

from __future__ import annotations

import pytest

from tests.cluster import Cluster
from tests.e2e.install import kinds_of_others
from tests.e2e.networks import Network
from tests.e2e.test_operator import PENDING
from tests.waiting import wait_for

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.alone,
    pytest.mark.timeout(600),
    pytest.mark.usefixtures("operator"),
]

GATEWAY = {
    "name": "front",
    "namespace": "edge",
    "sectionName": "https",
    "hostnames": ["files.example.com"],
    "annotations": {"example.com/team": "models"},
}
DISCOVERY_SECONDS = 120
"""The operator looks once a minute whether there are new kinds."""


def test_a_route_comes_with_the_gateway_api_and_goes_with_the_field(cluster: Cluster, namespace: str) -> None:
    network = Network(cluster, namespace)
    network.apply(PENDING | {"gateway": GATEWAY})
    message = network.wait("Reconciled", "False", "KindMissing")
    assert "spec.gateway needs the Gateway API" in message
    with kinds_of_others(cluster):
        network.wait("Reconciled", timeout=DISCOVERY_SECONDS)
        route = network.object("httproute", "library")
        assert route["metadata"]["annotations"]["example.com/team"] == "models"
        parent = {"name": "front", "namespace": "edge", "sectionName": "https"}
        # Groups, kinds and the weight are the API server's defaults: it has read what we wrote.
        backend = {"group": "", "kind": "Service", "name": "library", "port": 5000, "weight": 1}
        assert route["spec"] == {
            "parentRefs": [{"group": "gateway.networking.k8s.io", "kind": "Gateway", **parent}],
            "hostnames": ["files.example.com"],
            "rules": [
                {
                    "matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
                    "backendRefs": [backend],
                }
            ],
        }
        ports = network.object("service", "library")["spec"]["ports"]
        assert 5000 in [port["port"] for port in ports]

        network.patch({"gateway": None})
        network.wait("Reconciled")
        wait_for(lambda: not network.objects("httproutes"), "no route", 60, every=0.5)
        network.delete()
