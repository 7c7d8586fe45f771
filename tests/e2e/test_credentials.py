"""The broker's credentials change while everything runs, and nobody is restarted for it."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.cluster import Cluster, ClusterError
from tests.e2e.networks import Network
from tests.waiting import wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(2400), pytest.mark.usefixtures("operator")]

EPHEMERAL = {"storage": {"ephemeral": True, "size": "1Gi"}}
BOOTS = 600.0
"""Seconds in which three brokers have started: 10 on a quiet machine, 400 seen at a load of 40."""
KUBELETS = 150.0
"""Seconds in which the kubelet has brought a change of a Secret into the pods: 90, and a busy machine."""


@pytest.fixture
def network(cluster: Cluster, namespace: str) -> Iterator[Network]:
    found = Network(cluster, namespace)
    yield found
    found.kubectl("delete", "p2pn", "--all", "--wait=false")


def uids(network: Network, component: str) -> dict[str, tuple[str, int]]:
    """Uid and restarts of each pod of a component."""
    selector = f"app.kubernetes.io/instance={network.name},app.kubernetes.io/component={component}"
    return {
        pod["metadata"]["name"]: (
            pod["metadata"]["uid"],
            sum(item["restartCount"] for item in pod["status"]["containerStatuses"]),
        )
        for pod in network.objects("pods", selector)
    }


def nodes(network: Network) -> dict[str, tuple[str, int]]:
    """Uid and restarts of each node's pod."""
    return uids(network, "seed") | uids(network, "peer")


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
    """The user of each connection to a broker, whichever of its members is asked."""
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


def takes(network: Network, user: str, password: str) -> bool:
    """Whether the broker lets somebody in."""
    try:
        rabbitmqctl(network, "library-broker-0", "authenticate_user", user, password)
    except ClusterError:
        return False
    return True


def come_back(network: Network, user: str, brokers: list[str]) -> None:
    """All connections are closed; every node is there again, as that user."""
    expected = [user] * len(nodes(network))
    for pod in brokers:
        rabbitmqctl(network, pod, "close_all_connections", "rotated")
    # A member tells of the connections to all of them.
    wait_for(lambda: users(network, brokers[0]) == expected, f"all nodes as {user}", KUBELETS, every=2)


def test_a_password_is_rotated_while_everything_runs(network: Network) -> None:
    spec = {"seeds": EPHEMERAL, "peers": {**EPHEMERAL, "replicas": 1}, "broker": {"managed": EPHEMERAL}}
    network.apply(spec)
    network.wait(timeout=BOOTS)
    wait_for(lambda: connected(network), "all nodes have their broker")
    before, broker = nodes(network), uids(network, "broker")
    first = network.secret("library-broker-credentials")

    # By annotation. Nodes that are connected stay so.
    network.kubectl("annotate", "p2pn", "library", "minga.dev/rotateBrokerPassword=once")
    wait_for(lambda: network.secret("library-broker-credentials") != first, "another password", 60)
    second = network.secret("library-broker-credentials")
    assert second["uris"].split() == [second["uri"], first["uri"]]
    wait_for(lambda: takes(network, "minga", second["password"]), "the broker has it", KUBELETS, every=2)
    assert not takes(network, "minga", first["password"])
    assert connected(network)
    come_back(network, "minga", ["library-broker-0"])

    # By hand.
    patch = json.dumps({"stringData": {"password": "by-hand"}})
    network.kubectl("patch", "secret", "library-broker-credentials", "-p", patch)
    wait_for(lambda: takes(network, "minga", "by-hand"), "the broker has it", KUBELETS, every=2)
    come_back(network, "minga", ["library-broker-0"])

    # To credentials that somebody else keeps; the user of before is gone for good.
    theirs = ("--from-literal=username=team", "--from-literal=password=p@ss/word")
    network.kubectl("create", "secret", "generic", "theirs", *theirs)
    network.patch({"broker": {"managed": {"credentialsSecretName": "theirs"}}})
    wait_for(lambda: takes(network, "team", "p@ss/word"), "the broker has it", KUBELETS, every=2)
    wait_for(lambda: not takes(network, "minga", "by-hand"), "the former user is gone", 300, every=5)
    wait_for(lambda: users(network, "library-broker-0") == ["team"] * 2, "all nodes", KUBELETS, every=2)
    network.wait()
    assert (nodes(network), uids(network, "broker")) == (before, broker)


def members(network: Network) -> int:
    found = json.loads(rabbitmqctl(network, "library-broker-0", "cluster_status", "--formatter=json"))
    return len(found["running_nodes"])


def test_a_broker_of_three_outlives_its_secrets(network: Network) -> None:
    three = {"managed": {"replicas": 3, "storage": {"size": "1Gi"}}}
    network.apply({"seeds": EPHEMERAL, "peers": {**EPHEMERAL, "replicas": 1}, "broker": three})
    network.wait(timeout=BOOTS)
    wait_for(lambda: members(network) == 3, "three members", BOOTS, every=2)
    wait_for(lambda: connected(network), "all nodes have their broker")
    before = nodes(network) | uids(network, "broker")
    first, cookie = (network.secret(f"library-broker-{name}") for name in ("credentials", "cookie"))

    network.kubectl("delete", "secret", "library-broker-credentials", "library-broker-cookie")

    def remade() -> bool:
        names = network.kubectl("get", "secrets", "-o", "name")
        return all(f"library-broker-{name}" in names for name in ("credentials", "cookie"))

    wait_for(remade, "the Secrets", 60)
    second = network.secret("library-broker-credentials")
    assert second["password"] != first["password"]
    assert network.secret("library-broker-cookie") == cookie
    wait_for(lambda: takes(network, "minga", second["password"]), "the broker has it", KUBELETS, every=2)
    come_back(network, "minga", sorted(uids(network, "broker")))
    network.wait()
    assert nodes(network) | uids(network, "broker") == before

    # A member that restarts is one of the three again.
    network.kubectl("delete", "pod", "library-broker-2", "--wait=true", timeout=180)
    wait_for(lambda: members(network) < 3, "that it is away")
    wait_for(lambda: members(network) == 3, "three members again", BOOTS, every=2)
    network.wait("BrokerReady")


def test_a_cookie_that_is_lost_everywhere_is_made_anew_when_no_member_runs(network: Network) -> None:
    network.apply({
        "seeds": EPHEMERAL,
        "peers": EPHEMERAL | {"replicas": 0},
        "broker": {"managed": EPHEMERAL},
    })
    network.wait(timeout=BOOTS)
    before = uids(network, "broker")
    cookie = network.secret("library-broker-cookie")
    names = [f"library-broker{end}" for end in ("", "-cookie", "-credentials")]
    # What is deleted one after the other, the operator restores of what is left.
    network.patch({"paused": True})
    network.wait("Paused")
    network.kubectl("delete", "secret", *names)
    network.patch({"paused": False})
    message = network.wait("Reconciled", "False", "CookieLost")
    assert uids(network, "broker") == before
    # What it says to do.
    command = message.partition("kubectl ")[2].split()
    network.kubectl(*command, timeout=180)
    network.wait(timeout=BOOTS)
    assert network.secret("library-broker-cookie") != cookie
    wait_for(lambda: connected(network), "the seed has its broker", KUBELETS, every=2)
