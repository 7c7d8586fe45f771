"""Changes of a spec that a person or a revert in Git makes: done as a whole, or refused by name."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.cluster import Cluster, ClusterError
from tests.e2e.networks import Network
from tests.waiting import wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600), pytest.mark.usefixtures("operator")]

NOWHERE = {"nodeSelector": {"nowhere": "yes"}, "storage": {"ephemeral": True}}
"""Pods that stay pending: what is tried is the operator."""
NODES: dict[str, Any] = {"seeds": NOWHERE, "peers": NOWHERE}
PENDING: dict[str, Any] = NODES | {"broker": {"managed": NOWHERE}}


@pytest.fixture
def network(cluster: Cluster, namespace: str) -> Iterator[Network]:
    found = Network(cluster, namespace)
    yield found
    found.kubectl("delete", "p2pn", "--all", "--wait=false")


def body(spec: dict[str, Any]) -> str:
    head = {"apiVersion": "minga.dev/v1alpha1", "kind": "P2PNetwork", "metadata": {"name": "library"}}
    return json.dumps(head | {"spec": spec})


@pytest.mark.parametrize("how", [[], ["--server-side"]], ids=["client-side", "server-side"])
def test_a_broker_can_be_chosen_later(network: Network, how: list[str]) -> None:
    for spec in (NODES, NODES | {"broker": {"external": {"secretName": "ours"}}}, NODES):
        network.kubectl("apply", *how, "-f", "-", input=body(spec))
        expected = {"managed", "external"} & spec.get("broker", {"managed": {}}).keys()
        wait_for(
            lambda: network.get().get("status", {}).get("broker", "").split("/")[0] in expected,  # noqa: B023
            f"a broker that is {expected}",
            60,
        )


def test_a_managed_broker_of_three_is_not_lost_by_leaving_it_out(network: Network) -> None:
    network.apply(NODES | {"broker": {"managed": NOWHERE | {"replicas": 3, "storage": {}}}})
    with pytest.raises(ClusterError, match="replicas"):
        network.apply(NODES)


def node_image(network: Network) -> str:
    pod = network.object("statefulset", "library-peer")["spec"]["template"]["spec"]
    return str(pod["containers"][0]["image"])


def broker_image(network: Network) -> str:
    pod = network.object("statefulset", "library-broker")["spec"]["template"]["spec"]
    return str(pod["containers"][0]["image"])


def test_a_reverted_image_is_the_default_again(network: Network) -> None:
    network.apply(PENDING)
    network.wait("Reconciled")
    before = node_image(network), broker_image(network)
    bad = {"image": {"repository": "minga-node", "tag": "bad"}}
    network.apply(PENDING | bad | {"broker": {"managed": NOWHERE | {"image": "rabbitmq:bad"}}})
    wait_for(lambda: node_image(network) == "minga-node:bad", "the bad image", 60)
    wait_for(lambda: broker_image(network) == "rabbitmq:bad", "the bad image of the broker", 60)
    network.apply(PENDING)
    wait_for(lambda: (node_image(network), broker_image(network)) == before, "the images of before", 60)
    network.wait("Reconciled")
    assert network.get()["status"]["image"] == before[0]


VOLUME = NOWHERE | {"storage": {"size": "1Gi"}}
CLASS = NOWHERE | {"storage": {"size": "1Gi", "storageClassName": "fixed"}}


@pytest.mark.parametrize(
    ("before", "after", "named"),
    [
        ({"peers": VOLUME}, {"peers": CLASS}, "storageClassName cannot change"),
        ({"seeds": CLASS}, {"seeds": VOLUME}, "storageClassName cannot change"),
        ({"peers": VOLUME}, {"peers": NOWHERE}, "ephemeral cannot change"),
        ({"peers": NOWHERE}, {"peers": VOLUME}, "ephemeral cannot change"),
        (
            {"peers": VOLUME | {"mode": "DaemonSet"}},
            {"peers": VOLUME | {"mode": "DaemonSet", "storage": {"size": "2Gi"}}},
            "peers.storage.size cannot change in DaemonSet mode",
        ),
        ({"broker": {"managed": VOLUME}}, {"broker": {"managed": NOWHERE}}, "ephemeral cannot change"),
        ({"broker": {"managed": NOWHERE}}, {}, "broker.managed"),
        ({}, {"broker": {"managed": NOWHERE}}, "broker.managed.storage"),
    ],
)
def test_a_storage_that_cannot_become_another_is_refused(
    network: Network, before: dict[str, Any], after: dict[str, Any], named: str
) -> None:
    network.apply(NODES | before)
    with pytest.raises(ClusterError, match=named):
        network.apply(NODES | after)
    # All else may change.
    network.apply(NODES | before | {"labels": {"touched": "yes"}})


def test_a_paused_network_says_what_would_change_and_claims_nothing(network: Network) -> None:
    network.apply(PENDING | {"ingress": {"host": "files.example.com"}})
    network.wait("Reconciled")
    observed = network.get()["status"]["observedGeneration"]
    network.patch({"paused": True})
    network.wait("Paused")
    assert "nothing" in paused(network)["message"]
    network.kubectl("delete", "configmap", "library-config")
    network.patch({"peers": {"replicas": 2}, "ingress": None})
    expected = (
        "ConfigMap library-config is made",
        # Nodes are told no more by which name browsers reach them, so the pods are new ones.
        "StatefulSet library-seed: spec.template.metadata (its pods are replaced)",
        "StatefulSet library-peer: spec.replicas",
        "Ingress library is deleted",
    )
    wait_for(lambda: all(text in paused(network)["message"] for text in expected), "the plan")
    assert (paused(network)["status"], paused(network)["reason"]) == ("Unknown", "Paused")
    status = network.get()["status"]
    assert status["observedGeneration"] == observed < network.get()["metadata"]["generation"]
    (ready,) = [item for item in status["conditions"] if item["type"] == "Ready"]
    assert ready["status"] != "True"
    network.patch({"paused": False})
    network.wait("Reconciled")
    assert network.object("statefulset", "library-peer")["spec"]["replicas"] == 2
    assert network.objects("ingresses") == []


def paused(network: Network) -> dict[str, Any]:
    return next(item for item in network.get()["status"]["conditions"] if item["type"] == "Reconciled")
