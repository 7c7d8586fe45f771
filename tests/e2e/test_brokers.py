"""Live networks whose broker changes: files and messages go through after each step."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.cluster import Cluster
from tests.cluster.beside import definitions, rabbitmq_operator
from tests.e2e.networks import Network, Rest, sha256_in
from tests.waiting import wait_for

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.usefixtures("operator"),
]

EPHEMERAL = {"storage": {"ephemeral": True, "size": "1Gi"}}
KEPT = {"storage": {"size": "1Gi"}}
MANAGED = {"managed": EPHEMERAL}
NODES = 3


@pytest.fixture
def network(cluster: Cluster, namespace: str) -> Iterator[Network]:
    """One seed and two peers on a managed broker, ready."""
    found = Network(cluster, namespace)
    found.apply({"seeds": KEPT, "peers": {**KEPT, "replicas": 2}, "broker": MANAGED})
    found.wait(timeout=300)
    yield found
    found.kubectl("delete", "p2pn", "--all", "--wait=false")


@pytest.fixture
def kind(cluster: Cluster, namespace: str) -> Iterator[Path]:
    """The definition of RabbitmqCluster, which the test installs; it is gone afterwards."""
    path = definitions() / "rabbitmq.com_rabbitmqclusters.yaml"
    yield path
    cluster.kubectl("delete", "-f", path, "--ignore-not-found", "--wait=true", timeout=120)


@pytest.fixture
def rabbitmq(cluster: Cluster, kind: Path, tmp_path: Path) -> Iterator[Callable[[], None]]:
    """Installs the RabbitMQ cluster operator: its kind, and itself as a process of this machine."""
    image = cluster.load_images(["rabbitmq"])["rabbitmq"]
    environment = {
        **os.environ,
        **cluster.environment(),
        "OPERATOR_NAMESPACE": "default",
        "DEFAULT_RABBITMQ_IMAGE": image,
    }
    with ExitStack() as running:

        def install() -> None:
            cluster.kubectl("apply", "--server-side", "-f", kind)
            # It ends when it does not find its own kind, and that takes a moment to be served.
            wait_for(lambda: "rabbitmqclusters" in resources(cluster), "the kind", 30, every=0.5)
            log = running.enter_context((tmp_path / "rabbitmq-operator.log").open("wb"))
            command = [str(rabbitmq_operator()), "--metrics-bind-address=0"]
            process = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)
            running.callback(process.wait, 30)
            running.callback(process.terminate)

        yield install


def resources(cluster: Cluster) -> str:
    return cluster.kubectl("api-resources", "--api-group=rabbitmq.com", "-o", "name")


def answer(rest: Rest, path: str, identity: str, state: str) -> bool:
    found = rest.json(f"{path}/{identity}")
    assert found["state"] not in {"failed", "cancelled"}, found
    return bool(found["state"] == state)


def works(network: Network, folder: Path, name: str) -> None:
    """A file goes from one peer to the other, and a job, which only a broker can carry, to the third node."""
    file = folder / name
    file.write_bytes(os.urandom(3_000_000))
    expected = hashlib.sha256(file.read_bytes()).hexdigest()
    with network.rest("library-peer-0") as first, network.rest("library-peer-1") as other:
        assert first.put(name, file) == 201
        rows = wait_for(lambda: other.files(name), f"{name} in the other's index", 60)
        download = str(other.json("/api/v1/downloads", "POST", {"name": name})["id"])
        wait_for(lambda: answer(other, "/api/v1/downloads", download, "complete"), "the download", 60)
        assert sha256_in(network, "library-peer-1", f"/data/{name}") == expected
        wanted = {"id": rows[0]["id"], "copies": NODES}
        copies = str(first.json("/api/v1/replications", "POST", wanted)["id"])
        wait_for(lambda: answer(first, "/api/v1/replications", copies, "complete"), "the job", 90, every=0.2)
    assert sha256_in(network, "library-seed-0", f"/data/{name}") == expected


def addresses(network: Network) -> set[str]:
    selector = "app.kubernetes.io/instance=library,minga.dev/role=node"
    return {pod["status"]["podIP"] for pod in network.objects("pods", selector)}


def clients(network: Network, broker: str) -> set[str]:
    """Addresses that are connected to a broker's pod."""
    words = ["rabbitmqctl", "--silent", "list_connections", "peer_host"]
    return set(network.kubectl("exec", broker, "-c", "rabbitmq", "--", *words).split())


def is_on(network: Network, broker: str) -> None:
    """All nodes of the network are connected to that broker's pod, and to no other."""
    wait_for(lambda: clients(network, broker) == addresses(network), f"all nodes on {broker}", 90, every=1)


def switch(network: Network, **broker: dict[str, Any]) -> None:
    kinds = dict.fromkeys(("managed", "external", "cluster"))
    network.patch({"broker": {**kinds, **broker}})


def test_managed_to_a_rabbitmq_cluster_to_external_and_back(
    cluster: Cluster,
    network: Network,
    rabbitmq: Callable[[], None],
    tmp_path: Path,
) -> None:
    # The pods that the other operator makes are not of the restricted standard.
    label = "pod-security.kubernetes.io/enforce=baseline"
    cluster.kubectl("label", "namespace", network.namespace, "--overwrite", label)
    is_on(network, "library-broker-0")
    works(network, tmp_path, "managed.bin")

    switch(network, cluster={"name": "rabbit"})
    message = network.wait("BrokerReady", "False", "KindMissing")
    assert "spec.broker.cluster" in message
    rabbitmq()
    message = network.wait("BrokerReady", "False", "RabbitmqClusterMissing", timeout=90)
    assert "RabbitmqCluster rabbit" in message
    rabbit = {
        "apiVersion": "rabbitmq.com/v1beta1",
        "kind": "RabbitmqCluster",
        "metadata": {"name": "rabbit", "namespace": network.namespace},
        "spec": {
            "persistence": {"storage": "0Gi"},
            "delayStartSeconds": 0,
            "resources": {"requests": {"cpu": "100m", "memory": "256Mi"}, "limits": {"memory": "1Gi"}},
        },
    }
    cluster.kubectl("apply", "-f", "-", input=json.dumps(rabbit))
    network.wait("BrokerReady", reason="Cluster", timeout=180)
    network.wait(timeout=300)
    assert network.get()["status"]["broker"] == "cluster/Ready"
    assert "library-broker" not in network.kubectl("get", "statefulsets,services,secrets", "-o", "name")
    is_on(network, "rabbit-server-0")
    works(network, tmp_path, "cluster.bin")

    switch(network, external={"secretName": "elsewhere"})
    message = network.wait("BrokerReady", "False", "SecretMissing")
    assert "Secret elsewhere" in message
    # The broker of another network stands for one that somebody else runs.
    other = Network(cluster, network.namespace, "other")
    other.apply({"seeds": EPHEMERAL, "peers": {**EPHEMERAL, "replicas": 0}, "broker": MANAGED})
    other.wait("BrokerReady")
    uri = other.secret("other-broker-credentials")["uri"]
    network.kubectl("create", "secret", "generic", "elsewhere", f"--from-literal=uri={uri}")
    # The nodes follow what the kubelet mounts late.
    network.wait("BrokerReady", reason="External", timeout=180)
    network.wait(timeout=300)
    wait_for(
        lambda: addresses(network) <= clients(network, "other-broker-0"),
        "all nodes on the other's broker",
        90,
        every=1,
    )
    works(network, tmp_path, "external.bin")
    network.kubectl("delete", "rabbitmqcluster", "rabbit", "--wait=true", timeout=180)

    switch(network, managed=EPHEMERAL)
    network.wait(timeout=300)
    is_on(network, "library-broker-0")
    works(network, tmp_path, "managed-again.bin")
    with network.rest("library-seed-0") as rest:
        # Four brokers, one network: nothing was lost on the way.
        assert len({row["name"] for row in rest.files() if row["available"]}) == 4


def members(network: Network, pod: str) -> int:
    words = ["rabbitmqctl", "-q", "cluster_status", "--formatter=json"]
    text = network.kubectl("exec", pod, "-c", "rabbitmq", "--", *words)
    return len(json.loads(text)["running_nodes"])


def queues(network: Network, pod: str, what: str) -> dict[str, str]:
    """What RabbitMQ says of each queue, by the last words of its name."""
    words = ["rabbitmqctl", "-q", "list_queues", "name", what, "--formatter=json"]
    text = network.kubectl("exec", pod, "-c", "rabbitmq", "--", *words)
    prefix = f"minga.{network.namespace}.{network.name}."
    return {row["name"].removeprefix(prefix): row[what] for row in json.loads(text)}


def test_three_brokers_are_one_that_outlives_a_member(
    cluster: Cluster, namespace: str, tmp_path: Path
) -> None:
    network = Network(cluster, namespace)
    three = {"managed": {"replicas": 3, "storage": {"size": "1Gi"}}}
    network.apply({"seeds": EPHEMERAL, "peers": {**EPHEMERAL, "replicas": 2}, "broker": three})
    network.wait(timeout=400)
    wait_for(lambda: members(network, "library-broker-0") == 3, "three members", 120, every=2)
    where = {
        pod["spec"]["nodeName"] for pod in network.objects("pods") if "-broker-" in pod["metadata"]["name"]
    }
    assert len(where) == min(3, len(cluster.nodes()))
    works(network, tmp_path, "three.bin")
    # All but the dead letters are at more than one member.
    kinds = queues(network, "library-broker-0", "type")
    assert kinds.pop("dead") == "classic"
    assert len(kinds) == 2 * NODES
    assert set(kinds.values()) == {"quorum"}

    def replicated() -> bool:
        where = queues(network, "library-broker-0", "members")
        return all(len(where[name]) == 3 for name in kinds)

    wait_for(replicated, "all queues at all members, also those of nodes that were there first", 90, every=2)

    # The member with the dead letters stops; nobody is without a broker for that.
    member = queues(network, "library-broker-0", "leader")["dead"].removeprefix("rabbit@").partition(".")[0]
    network.kubectl("exec", member, "-c", "rabbitmq", "--", "rabbitmqctl", "-q", "stop_app", timeout=60)
    others = [name for name in network.pods("broker") if name != member]

    def all_at_the_others() -> bool:
        return set().union(*(clients(network, name) for name in others)) == addresses(network)

    wait_for(all_at_the_others, "all nodes at the members that are left", 90, every=1)
    works(network, tmp_path, "without.bin")
    assert members(network, others[0]) == 2
    network.kubectl("exec", member, "-c", "rabbitmq", "--", "rabbitmqctl", "-q", "start_app", timeout=60)
    wait_for(lambda: members(network, others[0]) == 3, "three members", 120, every=2)
    network.wait("BrokerReady", timeout=120)

    network.kubectl("delete", "pod", "library-broker-0", "--wait=true", timeout=180)
    assert members(network, "library-broker-1") >= 2
    works(network, tmp_path, "two.bin")
    network.wait("BrokerReady", timeout=300)
    wait_for(lambda: members(network, "library-broker-1") == 3, "three members again", 120, every=2)
    network.kubectl("delete", "p2pn", "--all", "--wait=false")
