"""What the operator keeps as it should be, and what it leaves alone."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from tests.cluster import Cluster
from tests.e2e.networks import CHILDREN, Network
from tests.waiting import wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900), pytest.mark.usefixtures("operator")]

SMALL: dict[str, Any] = {
    "peers": {"replicas": 1, "storage": {"ephemeral": True}},
    "seeds": {"storage": {"ephemeral": True}},
    "broker": {"managed": {"storage": {"ephemeral": True}}},
}


@pytest.fixture(scope="module")
def network(cluster: Cluster, operator: str) -> Iterator[Network]:
    """A small network that the tests of this module share."""
    name = "test-keeping"
    cluster.kubectl("create", "namespace", name)
    cluster.kubectl("label", "namespace", name, "pod-security.kubernetes.io/enforce=restricted")
    found = Network(cluster, name)
    found.apply(SMALL)
    found.wait()
    yield found
    cluster.kubectl("delete", "namespace", name, "--wait=true", timeout=180)


def versions(network: Network) -> dict[str, str]:
    kinds = f"{CHILDREN},p2pnetworks,events"
    items = json.loads(network.kubectl("get", kinds, "-o", "json"))["items"]
    return {
        f"{item['kind']}/{item['metadata']['name']}": item["metadata"]["resourceVersion"]
        for item in items
        # What the kubelet says about a pod is no write of the operator's, whatever it is.
        if item.get("source", {}).get("component") != "kubelet"
    }


def test_an_idle_network_sees_no_write_at_all(network: Network) -> None:
    wait_for(lambda: network.get()["status"].get("members") == 2, "the first count of all nodes", every=1)
    before = versions(network)
    deadline = time.monotonic() + 40
    while time.monotonic() < deadline:
        # Every write anywhere in the namespace would show; not a wait for something, but for nothing.
        assert versions(network) == before
        time.sleep(2)


def test_the_columns_that_a_person_sees(network: Network) -> None:
    head, row = network.kubectl("get", "p2pn").splitlines()
    assert head.split() == ["NAME", "READY", "SEEDS", "PEERS", "BROKER", "FILES", "STATUS", "AGE"]
    assert row.split()[:6] == ["library", "True", "1", "1", "managed/Ready", "0"]
    wide = network.kubectl("get", "p2pn", "-o", "wide").splitlines()[0].split()
    assert set(wide) - set(head.split()) == {"URL", "MEMBERS", "VERSION", "UP-TO-DATE", "ACCESS", "PAUSED"}


@pytest.mark.parametrize(
    ("kind", "name", "patch"),
    [
        ("service", "library", {"spec": {"selector": {"minga.dev/role": "nobody"}}}),
        ("service", "library-nodes", {"spec": {"publishNotReadyAddresses": False}}),
        ("configmap", "library-config", {"data": {"peer.json": "{}"}}),
        ("networkpolicy", "library-broker", {"spec": {"ingress": []}}),
        ("statefulset", "library-peer", {"spec": {"replicas": 3}}),
        ("service", "library", {"metadata": {"labels": {"app.kubernetes.io/managed-by": "me"}}}),
        ("secret", "library-binding", {"data": {"uri": "eA=="}}),
    ],
)
def test_a_changed_object_is_as_it_was_within_seconds(
    network: Network, kind: str, name: str, patch: dict[str, Any]
) -> None:
    def essence() -> Any:
        found = network.object(kind, name)
        labels = found["metadata"]["labels"]
        return [found.get("spec"), found.get("data"), labels]

    before = essence()
    network.kubectl("patch", kind, name, "--type=merge", "-p", json.dumps(patch))
    wait_for(lambda: essence() == before, f"{kind} {name} as it was", 20, every=0.3)


@pytest.mark.parametrize(
    "what", ["service/library", "configmap/library-config", "networkpolicy/library-nodes"]
)
def test_a_deleted_object_is_made_again_within_seconds(network: Network, what: str) -> None:
    network.kubectl("delete", what)
    kind, _, name = what.partition("/")
    wait_for(
        lambda: any(item["metadata"]["name"] == name for item in network.objects(kind)),
        f"{what} again",
        20,
        every=0.3,
    )


def test_what_others_add_to_our_objects_stays(network: Network) -> None:
    patch = {
        "metadata": {"annotations": {"example.com/note": "theirs"}},
        "spec": {"sessionAffinity": "ClientIP"},
    }
    network.kubectl("patch", "service", "library", "--type=merge", "-p", json.dumps(patch))
    # A change that the operator must repair, so that it has certainly looked at the object since.
    network.kubectl("patch", "service", "library", "--type=merge", "-p", '{"spec":{"selector":{"x":"y"}}}')
    wait_for(
        lambda: (
            "x" not in network.object("service", "library")["spec"]["selector"]
            or network.object("service", "library")["spec"]["selector"].get("minga.dev/role") == "node"
        ),
        "the repair",
        20,
    )
    found = network.object("service", "library")
    assert found["metadata"]["annotations"]["example.com/note"] == "theirs"
    assert found["spec"]["sessionAffinity"] == "ClientIP"


def test_credentials_are_made_once(network: Network) -> None:
    before = network.secret("library-broker-credentials")
    network.patch({"labels": {"touched": "yes"}})
    network.wait()
    assert network.secret("library-broker-credentials") == before
    network.patch({"labels": None})
    network.wait()


def test_a_paused_network_is_left_alone(network: Network) -> None:
    network.patch({"paused": True})
    network.wait("Paused")
    network.kubectl("delete", "configmap", "library-config")
    network.patch({"peers": {"replicas": 2}})
    network.wait("Paused")
    assert network.object("statefulset", "library-peer")["spec"]["replicas"] == 1
    assert "library-config" not in {item["metadata"]["name"] for item in network.objects("configmaps")}
    network.patch({"paused": False, "peers": {"replicas": 1}})
    network.wait()
    assert network.object("configmap", "library-config")["data"]


def has_peers(network: Network, count: int) -> bool:
    return len(network.pods("peer")) == count


def test_scale_by_kubectl(network: Network) -> None:
    for count in (3, 1):
        network.kubectl("scale", "p2pn/library", f"--replicas={count}")
        network.wait(timeout=180)
        wait_for(partial(has_peers, network, count), f"{count} peers", 60)
        assert network.get()["status"]["readyPeers"] == count
    scale = json.loads(network.kubectl("get", "p2pn/library", "--subresource=scale", "-o", "json"))
    assert scale["status"]["replicas"] == 1
    assert "app.kubernetes.io/component=peer" in scale["status"]["selector"]


def test_a_deleted_broker_pod_comes_back_and_nobody_else_minds(network: Network) -> None:
    before = {pod["metadata"]["name"]: pod["metadata"]["uid"] for pod in network.objects("pods")}
    network.kubectl("delete", "pod", "library-broker-0")
    network.wait("BrokerReady", timeout=120)
    network.wait()
    after = {pod["metadata"]["name"]: pod["metadata"]["uid"] for pod in network.objects("pods")}
    assert [name for name in before if before[name] != after[name]] == ["library-broker-0"]


@pytest.mark.slow
def test_an_injected_sidecar_stays(network: Network) -> None:
    """What a webhook of a service mesh would do to the pods, done to their template."""
    pod = network.object("statefulset", "library-peer")["spec"]["template"]["spec"]
    node = pod["containers"][0]
    sidecar = {
        "name": "proxy",
        "image": node["image"],
        "command": ["python3", "-c", "import signal; signal.pause()"],
        "securityContext": node["securityContext"],
    }
    patch = {"spec": {"template": {"spec": {"containers": [sidecar]}}}}
    network.kubectl("patch", "statefulset", "library-peer", "--type=strategic", "-p", json.dumps(patch))

    def containers() -> set[str]:
        found = network.object("statefulset", "library-peer")["spec"]["template"]["spec"]["containers"]
        return {container["name"] for container in found}

    # A change that must be repaired in the same object: the operator has certainly looked at it since.
    network.kubectl("scale", "statefulset/library-peer", "--replicas=2")
    wait_for(lambda: network.object("statefulset", "library-peer")["spec"]["replicas"] == 1, "the repair", 30)
    assert containers() == {"node", "proxy"}
    # And a change of ours to the same list.
    network.patch({"peers": {"resources": {"limits": {"memory": "1Gi"}}}})
    network.wait("PeersReady", timeout=240)
    assert containers() == {"node", "proxy"}
    assert len(network.object("pod", "library-peer-0")["spec"]["containers"]) == 2
    network.kubectl("delete", "statefulset", "library-peer", "--cascade=orphan")
    network.patch({"peers": {"resources": {"limits": None}}})
    network.wait(timeout=240)
    assert containers() == {"node"}


def test_an_object_of_somebody_elses_is_not_taken_over(cluster: Cluster, namespace: str) -> None:
    network = Network(cluster, namespace, "mine")
    network.kubectl("create", "configmap", "mine-config", "--from-literal=peer.json=theirs")
    network.apply(SMALL)
    message = network.wait("Reconciled", "False", "NameTaken")
    assert "ConfigMap mine-config" in message
    assert network.object("configmap", "mine-config")["data"] == {"peer.json": "theirs"}
    events = network.kubectl("get", "events", "--field-selector=reason=NameTaken", "-o", "name")
    assert events.strip()
    network.kubectl("delete", "configmap", "mine-config")
    network.wait("Reconciled", timeout=90)


def test_what_the_api_server_refuses_later_breaks_nothing(network: Network) -> None:
    """Affinity is handed on unread, so it is refused only when the StatefulSet is applied."""
    before = network.object("statefulset", "library-peer")["metadata"]["uid"]
    required: dict[str, Any] = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": []}}
    network.patch({"peers": {"affinity": {"nodeAffinity": required}}})
    message = network.wait("Reconciled", "False", "Refused")
    assert "StatefulSet library-peer" in message
    assert "nodeSelectorTerms" in message
    assert network.object("statefulset", "library-peer")["metadata"]["uid"] == before
    network.patch({"peers": {"affinity": None}})
    network.wait(timeout=90)


def test_a_namespace_can_be_deleted_whole(cluster: Cluster, namespace: str) -> None:
    network = Network(cluster, namespace)
    network.apply(SMALL)
    network.wait("Reconciled")
    cluster.kubectl("delete", "namespace", namespace, "--wait=true", timeout=180)
    cluster.kubectl("create", "namespace", namespace)
