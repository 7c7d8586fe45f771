"""The broker's credentials change while everything runs, and nobody is restarted for it."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.cluster import Cluster
from tests.e2e.networks import Network
from tests.waiting import wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1200), pytest.mark.usefixtures("operator")]

EPHEMERAL = {"storage": {"ephemeral": True, "size": "1Gi"}}
KUBELETS = 150.0
"""Seconds in which the kubelet has brought a change of a Secret into the pods: 90, and a busy machine."""


@pytest.fixture
def network(cluster: Cluster, namespace: str) -> Iterator[Network]:
    found = Network(cluster, namespace)
    yield found
    found.kubectl("delete", "p2pn", "--all", "--wait=false")


def nodes(network: Network) -> dict[str, tuple[str, int]]:
    """Uid and restarts of each node's pod."""
    selector = f"app.kubernetes.io/instance={network.name},minga.dev/role=node"
    return {
        pod["metadata"]["name"]: (
            pod["metadata"]["uid"],
            pod["status"]["containerStatuses"][0]["restartCount"],
        )
        for pod in network.objects("pods", selector)
    }


def connected(network: Network) -> bool:
    """Whether every node says that it has its broker."""
    for pod in nodes(network):
        with network.rest(pod) as rest:
            if not rest.json("/api/v1/node")["broker_connected"]:
                return False
    return True


def rabbitmqctl(network: Network, pod: str, *words: str) -> str:
    return network.kubectl("exec", pod, "-c", "rabbitmq", "--", "rabbitmqctl", "-q", *words)


def users(network: Network, pod: str) -> list[str]:
    """The user of each connection to a broker's pod."""
    return rabbitmqctl(network, pod, "--silent", "list_connections", "user").split()


def test_another_password_in_the_secret_of_an_external_broker_restarts_nobody(
    cluster: Cluster, network: Network
) -> None:
    # The broker of another network stands for one that somebody else runs.
    other = Network(cluster, network.namespace, "other")
    other.apply({"seeds": EPHEMERAL, "peers": {**EPHEMERAL, "replicas": 0}, "broker": {"managed": EPHEMERAL}})
    other.wait("BrokerReady")
    rabbitmqctl(other, "other-broker-0", "add_user", "outside", "first")
    rabbitmqctl(other, "other-broker-0", "set_permissions", "outside", ".*", ".*", ".*")

    def secret(password: str) -> str:
        uri = f"amqp://outside:{password}@other-broker.{network.namespace}.svc:5672/"
        metadata = {"name": "ours"}
        return json.dumps({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": metadata,
            "stringData": {"uri": uri},
        })

    broker = {"external": {"secretName": "ours"}}
    network.apply({"seeds": EPHEMERAL, "peers": {**EPHEMERAL, "replicas": 1}, "broker": broker})
    network.wait("BrokerReady", "False", "SecretMissing")
    wait_for(lambda: len(nodes(network)) == 2, "the pods")
    network.wait("SeedsReady")
    before = nodes(network)
    # A Secret that comes late is followed, too.
    network.kubectl("apply", "-f", "-", input=secret("first"))
    wait_for(lambda: connected(network), "all nodes have their broker", KUBELETS, every=2)
    network.wait()

    rabbitmqctl(other, "other-broker-0", "change_password", "outside", "second")
    network.kubectl("apply", "-f", "-", input=secret("second"))
    rabbitmqctl(other, "other-broker-0", "close_all_user_connections", "outside", "rotated")
    wait_for(lambda: users(other, "other-broker-0").count("outside") == 2, "both are back", KUBELETS, every=2)
    assert connected(network)
    assert nodes(network) == before
    network.wait()
