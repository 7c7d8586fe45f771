"""NetworkPolicies that are enforced: who gets through to nodes and broker, and who does not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import product

import pytest

from tests.cluster import Cluster
from tests.e2e.networks import Network
from tests.waiting import wait_for

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.slow,
    # The engine is in every Kubernetes node.
    pytest.mark.alone,
    pytest.mark.timeout(1800),
    pytest.mark.usefixtures("operator"),
]

SPEC = {
    "seeds": {"storage": {"ephemeral": True}},
    "peers": {"storage": {"ephemeral": True}, "mode": "DaemonSet"},
    "broker": {"managed": {"storage": {"ephemeral": True}}},
}
REST, GRPC, DATA, AMQP, METRICS = 5000, 50051, 50052, 5672, 15692
PROBE = """
import json, socket, sys
def open_(place):
    try:
        socket.create_connection(tuple(place), 3).close()
        return True
    except OSError:
        return False
print(json.dumps([open_(place) for place in json.loads(sys.argv[1])]))
"""
"""Prints which of some addresses a connection can be made to; engines drop or reject what is not allowed."""


@pytest.fixture
def network(cluster: Cluster, namespace: str) -> Iterator[Network]:
    """A network with a peer on each Kubernetes node, under a policy engine."""
    found = Network(cluster, namespace)
    with cluster.enforcing_policies():
        found.apply(SPEC)
        found.wait(timeout=300)
        yield found
        found.delete()


def addresses(network: Network, component: str) -> list[str]:
    selector = f"app.kubernetes.io/instance={network.name},app.kubernetes.io/component={component}"
    return sorted(pod["status"]["podIP"] for pod in network.objects("pods", selector))


def start_outsiders(network: Network) -> list[str]:
    """A pod of nobody's on each Kubernetes node, beside the network in its own namespace; their names."""
    security = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    names = []
    for node in network.cluster.nodes():
        container = {
            "name": "node",
            "image": "minga-node:test",
            "imagePullPolicy": "IfNotPresent",
            "command": ["sleep", "3600"],
            "securityContext": security,
        }
        spec = {
            "nodeName": node,
            "containers": [container],
            "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
            "terminationGracePeriodSeconds": 0,
        }
        name = f"outsider-{node}"
        metadata = {"name": name, "labels": {"app": "outsider"}}
        body = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
        network.kubectl("create", "-f", "-", input=json.dumps(body))
        names.append(name)
    network.kubectl("wait", "--for=condition=Ready", "pod", "-l", "app=outsider", "--timeout=90s")
    return names


def reached(network: Network, pod: str, places: list[tuple[str, int]]) -> set[tuple[str, int]]:
    """Those places that a pod can connect to."""
    words = ["exec", pod, "-c", "node", "--", "python3", "-c", PROBE, json.dumps(places)]
    opened = json.loads(network.kubectl(*words, timeout=300))
    return {place for place, through in zip(places, opened, strict=True) if through}


def test_outsiders_reach_rest_and_metrics_and_members_all_they_need(network: Network) -> None:
    nodes = addresses(network, "seed") + addresses(network, "peer")
    (broker,) = addresses(network, "broker")
    assert len(nodes) == 1 + len(network.cluster.nodes())
    for_all = {*product(nodes, [REST]), (broker, METRICS)}
    for_members = {*product(nodes, [GRPC, DATA]), (broker, AMQP)}
    places = sorted(for_all | for_members)

    # From each Kubernetes node: through its own bridge as well as from one to the other.
    for name in start_outsiders(network):
        wait_for(lambda name=name: reached(network, name, places) == for_all, f"what {name} reaches", 60)  # type: ignore[misc]
    for name in (*network.pods("seed"), *network.pods("peer")):
        assert reached(network, name, places) == for_all | for_members, name

    # And they do what they are for: files cross, and events go through the broker.
    with network.rest("library-seed-0") as rest:
        rest.json("/files/open.txt", "PUT", "here")
        wait_for(lambda: b"\nminga_broker_connected 1.0" in rest.read("/metrics"), "the broker", 30)
    for name in network.pods("peer"):
        with network.rest(name) as rest:
            wait_for(lambda rest=rest: rest.files("open.txt"), "the file in the index", 30)  # type: ignore[misc]
            assert json.loads(rest.read("/files/open.txt")) == "here"

    # It was the policies: without them everybody gets everywhere.
    network.patch({"networkPolicy": {"enabled": False}})
    outsider = f"outsider-{network.cluster.nodes()[0]}"
    wait_for(lambda: reached(network, outsider, places) == set(places), "no policy, no bar", 60)
