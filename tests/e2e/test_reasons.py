"""Why a network is not ready, in the words of the API server, of the kubelet or of its nodes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.cluster import Cluster
from tests.e2e.networks import Network
from tests.waiting import wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900), pytest.mark.usefixtures("operator")]

EPHEMERAL = {"storage": {"ephemeral": True, "size": "1Gi"}}
NOWHERE = EPHEMERAL | {"nodeSelector": {"nowhere": "yes"}}
BROKER: dict[str, Any] = {"managed": NOWHERE}


@pytest.fixture
def network(cluster: Cluster, namespace: str) -> Iterator[Network]:
    found = Network(cluster, namespace)
    yield found
    found.kubectl("delete", "p2pn", "--all", "--wait=false")


def quota(network: Network) -> None:
    network.kubectl("create", "quota", "small", "--hard=pods=0")


def limits(network: Network) -> None:
    two = {"cpu": "2"}
    limit = {"type": "Container", "min": two, "default": two, "defaultRequest": two}
    head = {"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "large"}}
    body = head | {"spec": {"limits": [limit]}}
    network.kubectl("create", "-f", "-", input=json.dumps(body))


SMALL = {"resources": {"requests": {"cpu": "10m"}, "limits": {"cpu": "10m"}}}


@pytest.mark.parametrize(
    ("prepare", "peers", "words"),
    [
        (quota, {}, "exceeded quota: small"),
        (limits, SMALL, "minimum cpu usage per Container is 2"),
        (
            None,
            {"priorityClassName": "nobody-made-it"},
            "no PriorityClass with name nobody-made-it was found",
        ),
    ],
    ids=["quota", "LimitRange", "PriorityClass"],
)
@pytest.mark.parametrize("mode", ["StatefulSet", "DaemonSet"])
def test_pods_that_are_refused_have_the_api_servers_reason(
    network: Network, prepare: Any, peers: dict[str, Any], words: str, mode: str
) -> None:
    if prepare is not None:
        prepare(network)
    network.apply({"seeds": NOWHERE, "peers": EPHEMERAL | peers | {"mode": mode}, "broker": BROKER})
    assert words in network.wait("PeersReady", "False", "PodsRefused")
    if prepare is None:
        return  # Another class is another template, and that of peers waits for seeds.
    # Mended, it is over: nothing stays that was true once.
    network.kubectl("delete", "quota,limitrange", "--all")
    wait_for(
        lambda: network.condition("PeersReady").get("reason") != "PodsRefused", "that is over", 300, every=1
    )


def test_a_volume_that_does_not_come_is_the_reason(network: Network) -> None:
    token = "--from-literal=write=a-token-that-is-long-enough"
    network.kubectl("create", "secret", "generic", "ours", token)
    access = {"tokens": "Secret", "secretName": "ours"}
    network.apply({
        "seeds": EPHEMERAL,
        "peers": EPHEMERAL | {"replicas": 0},
        "broker": BROKER,
        "access": access,
    })
    network.wait("SeedsReady")
    network.kubectl("delete", "secret", "ours")
    network.kubectl("delete", "pod", "library-seed-0", "--wait=false")
    message = network.wait("SeedsReady", "False", "PodsInTrouble")
    assert 'library-seed-0: MountVolume.SetUp failed for volume "tokens" : secret "ours" not found' in message


def test_a_node_without_its_broker_makes_the_broker_unready(network: Network) -> None:
    uri = "amqp://user:password@nobody.invalid:5672/"
    network.kubectl("create", "secret", "generic", "ours", f"--from-literal=uri={uri}")
    broker = {"external": {"secretName": "ours"}}
    network.apply({"seeds": EPHEMERAL, "peers": EPHEMERAL | {"replicas": 0}, "broker": broker})
    network.wait("SeedsReady")
    message = network.wait("BrokerReady", "False", "NodesDisconnected")
    assert "1 of 1 nodes are not connected to the broker; library-seed-0: " in message


def test_peers_that_wait_for_a_seed_say_so(network: Network) -> None:
    network.apply({"seeds": NOWHERE, "peers": EPHEMERAL | {"replicas": 1}, "broker": BROKER})
    assert "none is ready" in network.wait("PeersReady", "False", "WaitingForSeeds")


def test_a_container_that_lacks_memory_is_told(network: Network) -> None:
    little = {"resources": {"limits": {"memory": "40Mi"}}}
    network.apply({"seeds": EPHEMERAL | little, "peers": EPHEMERAL | {"replicas": 0}, "broker": BROKER})
    network.wait("Reconciled")

    def told() -> bool:
        found = network.condition("SeedsReady")
        return found["reason"] == "PodsInTrouble" and "was killed for lack of memory" in found["message"]

    wait_for(told, "the reason", every=1)
    assert network.kubectl("get", "events", "--field-selector=reason=PodOOMKilled", "-o", "name").split()


def test_what_repeats_is_one_event_that_counts(network: Network) -> None:
    network.apply({"seeds": NOWHERE, "peers": NOWHERE, "broker": BROKER})
    network.wait("Reconciled")

    def spoil() -> None:
        patch = '{"spec":{"selector":{"minga.dev/role":"x"}}}'
        network.kubectl("patch", "service", "library", "--type=merge", "-p", patch)

    def repairs() -> list[dict[str, Any]]:
        text = network.kubectl(
            "get", "events.events.k8s.io", "--field-selector=reason=Repaired", "-o", "json"
        )
        return list(json.loads(text)["items"])

    def counted(number: int) -> bool:
        return [item.get("series", {}).get("count", 1) for item in repairs()] == [number]

    for number in range(1, 4):
        spoil()
        wait_for(lambda: counted(number), f"one Event that counts {number}", every=0.5)  # noqa: B023


def test_the_status_says_where_to_go_who_is_there_and_how_the_last_drain_ended(network: Network) -> None:
    balanced = {"service": {"type": "LoadBalancer"}}
    network.apply({"seeds": EPHEMERAL, "peers": EPHEMERAL | {"replicas": 1}, "broker": BROKER} | balanced)

    def says(**fields: Any) -> bool:
        found = network.get()["status"]
        return {key: found.get(key) for key in fields} == fields

    inside = f"http://library.{network.namespace}.svc:5000"
    wait_for(lambda: says(address="pending", url=inside), "an address that is pending", every=1)
    given = '{"status":{"loadBalancer":{"ingress":[{"ip":"192.0.2.7"}]}}}'
    network.kubectl("patch", "service", "library", "--subresource=status", "--type=merge", "-p", given)
    wait_for(lambda: says(address="192.0.2.7", url="http://192.0.2.7:5000"), "its address", every=1)
    network.wait("PeersReady")
    wait_for(lambda: says(members=2), "both members", every=1)
    network.kubectl("scale", "p2pn/library", "--replicas=0")
    wait_for(lambda: network.get()["status"].get("lastDrain"), "the end of a drain", every=1)
    last = network.get()["status"]["lastDrain"]
    assert (last["pod"], last["outcome"]) == ("library-peer-0", "HandedOver")
