"""Where pods run, on three Kubernetes nodes: spread, selected, tolerated, drained, and one on each."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from tests.cluster import Cluster, ClusterError
from tests.e2e.networks import Network
from tests.waiting import wait_for

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.slow,
    pytest.mark.alone,
    pytest.mark.timeout(900),
    pytest.mark.usefixtures("operator"),
]

EPHEMERAL = {"storage": {"ephemeral": True, "size": "1Gi"}}
BROKER = {"managed": EPHEMERAL}
HOSTNAME = "kubernetes.io/hostname"


@pytest.fixture
def network(cluster: Cluster, namespace: str) -> Iterator[Network]:
    assert len(cluster.nodes()) >= 3
    found = Network(cluster, namespace)
    yield found
    found.kubectl("delete", "p2pn", "--all", "--wait=false")


def places(network: Network, component: str) -> Counter[str]:
    """How many of a group's pods each Kubernetes node has."""
    selector = f"app.kubernetes.io/instance={network.name},app.kubernetes.io/component={component}"
    return Counter(pod["spec"]["nodeName"] for pod in network.objects("pods", selector))


def test_by_default_each_group_is_spread_over_the_nodes(cluster: Cluster, network: Network) -> None:
    network.apply({"seeds": {**EPHEMERAL, "replicas": 3}, "peers": EPHEMERAL, "broker": BROKER})
    network.wait(timeout=300)
    everywhere = Counter(cluster.nodes()[:3])
    assert places(network, "seed") == everywhere
    assert places(network, "peer") == everywhere


@pytest.fixture
def reserved(cluster: Cluster) -> Iterator[str]:
    """A node that takes only pods that tolerate its taint, and carries a label."""
    name = cluster.nodes()[2]
    cluster.kubectl("taint", "node", name, "minga.dev/reserved=yes:NoSchedule", "--overwrite")
    cluster.kubectl("label", "node", name, "minga.dev/disk=fast", "--overwrite")
    yield name
    cluster.kubectl("taint", "node", name, "minga.dev/reserved-")
    cluster.kubectl("label", "node", name, "minga.dev/disk-")


@pytest.fixture
def important(cluster: Cluster) -> Iterator[str]:
    """A priority class."""
    body = {
        "apiVersion": "scheduling.k8s.io/v1",
        "kind": "PriorityClass",
        "metadata": {"name": "minga-important"},
        "value": 1000,
    }
    cluster.kubectl("apply", "-f", "-", input=json.dumps(body))
    yield "minga-important"
    cluster.kubectl("delete", "priorityclass", "minga-important")


def test_pods_go_where_the_spec_says(
    cluster: Cluster, network: Network, reserved: str, important: str
) -> None:
    first = cluster.nodes()[0]
    toleration = {"key": "minga.dev/reserved", "operator": "Exists", "effect": "NoSchedule"}
    term = {"matchExpressions": [{"key": HOSTNAME, "operator": "In", "values": [first]}]}
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}
    network.apply({
        "seeds": {**EPHEMERAL, "affinity": {"nodeAffinity": required}, "priorityClassName": important},
        "peers": {
            **EPHEMERAL,
            "replicas": 2,
            "nodeSelector": {"minga.dev/disk": "fast"},
            "tolerations": [toleration],
            "resources": {"requests": {"cpu": "10m", "memory": "64Mi"}, "limits": {"memory": "512Mi"}},
        },
        "broker": {"managed": {**EPHEMERAL, "nodeSelector": {HOSTNAME: first}}},
    })
    network.wait(timeout=300)
    assert places(network, "seed") == Counter([first])
    assert places(network, "peer") == Counter({reserved: 2})
    assert places(network, "broker") == Counter([first])
    assert network.object("pod", "library-seed-0")["spec"]["priority"] == 1000
    (container,) = network.object("pod", "library-peer-0")["spec"]["containers"]
    assert container["resources"]["limits"] == {"memory": "512Mi"}


def test_where_no_node_fits_the_status_says_why(network: Network, reserved: str) -> None:
    network.apply({
        "seeds": EPHEMERAL,
        "peers": {**EPHEMERAL, "replicas": 1, "nodeSelector": {"minga.dev/disk": "fast"}},
        "broker": BROKER,
    })
    message = network.wait("PeersReady", "False", "PodsInTrouble", timeout=120)
    assert "library-peer-0 cannot be scheduled" in message
    assert "untolerated taint" in message


def rest_of_local(network: Network, pod: str) -> str:
    """The id of the peer that a pod finds behind the Service of its own Kubernetes node."""
    url = f"http://library-local.{network.namespace}.svc:5000/api/v1/node"
    program = f"import json, urllib.request as r; print(json.load(r.urlopen({url!r}, timeout=10))['id'])"
    return network.kubectl("exec", pod, "-c", "node", "--", "python3", "-c", program).strip()


def test_a_daemon_set_has_a_peer_on_each_node_and_a_door_to_it(cluster: Cluster, network: Network) -> None:
    network.apply({
        "seeds": {**EPHEMERAL, "replicas": 3},
        "peers": {**EPHEMERAL, "mode": "DaemonSet"},
        "broker": BROKER,
    })
    network.wait(timeout=300)
    nodes = cluster.nodes()
    assert places(network, "peer") == Counter(nodes)
    assert network.get()["status"]["readyPeers"] == len(nodes)
    for pod in network.objects("pods", "app.kubernetes.io/component=seed"):
        expected = f"library-peer-{pod['spec']['nodeName']}"
        name = pod["metadata"]["name"]
        for _ in range(3):
            assert rest_of_local(network, name) == expected
    # And back: the DaemonSet goes, the StatefulSet comes.
    network.patch({"peers": {"mode": "StatefulSet", "replicas": 1}})
    network.wait(timeout=240)
    assert network.objects("daemonsets") == []
    wait_for(lambda: network.pods("peer") == ["library-peer-0"], "one peer", 90)


@pytest.fixture
def cordoned(cluster: Cluster) -> Iterator[str]:
    """A node from which pods are to go; it takes pods again after the test."""
    name = cluster.nodes()[1]
    yield name
    cluster.kubectl("uncordon", name)


def test_a_drained_node_takes_one_pod_of_a_group_at_a_time(
    cluster: Cluster, network: Network, cordoned: str
) -> None:
    # A domain that all nodes are in spreads nothing: the preference alone decides.
    spread = {"maxSkew": 1, "topologyKey": "kubernetes.io/os", "whenUnsatisfiable": "ScheduleAnyway"}
    here: dict[str, Any] = {
        **EPHEMERAL,
        "replicas": 3,
        "affinity": preferring(cordoned),
        "topologySpreadConstraints": [spread],
    }
    network.apply({"seeds": EPHEMERAL, "peers": here, "broker": BROKER})
    network.wait(timeout=300)
    assert places(network, "peer")[cordoned] == 3
    uids = {pod["metadata"]["name"]: pod["metadata"]["uid"] for pod in network.objects("pods")}
    cluster.kubectl("cordon", cordoned)
    evict(network, "library-peer-0")
    with pytest.raises(ClusterError, match="disruption budget"):
        evict(network, "library-peer-1")
    select = "--pod-selector=app.kubernetes.io/instance=library,app.kubernetes.io/component=peer"
    options = ("--ignore-daemonsets", "--delete-emptydir-data", "--timeout=240s")
    cluster.kubectl("drain", cordoned, select, *options, timeout=260)
    network.wait(timeout=300)
    assert places(network, "peer")[cordoned] == 0
    after = {pod["metadata"]["name"]: pod["metadata"]["uid"] for pod in network.objects("pods")}
    assert {name for name in uids if uids[name] != after[name]} >= {f"library-peer-{n}" for n in range(3)}


def preferring(node: str) -> dict[str, Any]:
    """Affinity to a node, as long as it takes pods."""
    term = {"matchExpressions": [{"key": HOSTNAME, "operator": "In", "values": [node]}]}
    preferred = [{"weight": 100, "preference": term}]
    return {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": preferred}}


def evict(network: Network, pod: str) -> None:
    """What `kubectl drain` asks for each pod."""
    body = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": pod, "namespace": network.namespace},
    }
    path = f"/api/v1/namespaces/{network.namespace}/pods/{pod}/eviction"
    network.kubectl("create", "--raw", path, "-f", "-", input=json.dumps(body))
