"""The end of a network: what goes, what stays, and who need not be there for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.cluster import Cluster
from tests.e2e.install import install
from tests.e2e.networks import CHILDREN, Network
from tests.waiting import wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900), pytest.mark.usefixtures("operator")]

EPHEMERAL = {"storage": {"ephemeral": True}}
SPEC: dict[str, Any] = {
    "seeds": EPHEMERAL,
    "peers": {"replicas": 1, "storage": {"size": "1Gi"}},
    "broker": {"managed": EPHEMERAL},
}
OPERATOR = "app.kubernetes.io/name=minga-operator"


def ready(cluster: Cluster, namespace: str, spec: dict[str, Any]) -> Network:
    network = Network(cluster, namespace)
    network.apply(spec)
    network.wait(timeout=240)
    return network


def claims(network: Network) -> list[str]:
    return [item["metadata"]["name"] for item in network.objects("persistentvolumeclaims")]


@pytest.mark.slow
def test_retained_volumes_outlive_their_network_and_serve_the_next_of_its_name(
    cluster: Cluster, namespace: str, tmp_path: Path
) -> None:
    network = ready(
        cluster, namespace, SPEC | {"persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Retain"}}
    )
    (claim,) = claims(network)
    kept = tmp_path / "kept.bin"
    kept.write_bytes(b"of the first network" * 1000)
    with network.rest("library-peer-0") as rest:
        assert rest.put("kept.bin", kept) == 201
    network.kubectl("delete", "p2pn", network.name)
    rest_of = CHILDREN.replace(",persistentvolumeclaims", "")
    wait_for(lambda: not network.objects(rest_of), "nothing left but the volume", 120, every=1)
    assert claims(network) == [claim]

    network.apply(SPEC)
    network.wait(timeout=240)
    with network.rest("library-seed-0") as rest:
        (file,) = wait_for(lambda: rest.files("kept.bin"), "the file of the first network", 60, every=0.5)
    assert file["size"] == kept.stat().st_size
    # By default volumes go with the network: this waits for the claim, too.
    network.delete()


@pytest.mark.slow
@pytest.mark.alone
def test_a_network_ends_without_its_broker_and_without_an_operator(
    cluster: Cluster, operator: str, namespace: str
) -> None:
    network = ready(cluster, namespace, SPEC)
    system = Network(cluster, operator)
    system.kubectl("scale", "deployment/minga", "--replicas=0")
    try:
        wait_for(lambda: not system.objects("pods", OPERATOR), "no operator", 90, every=0.5)
        network.kubectl("delete", "statefulset/library-broker", "service/library-broker")
        network.delete()
    finally:
        install(cluster)


@pytest.mark.slow
@pytest.mark.alone
def test_an_operator_that_starts_in_the_middle_of_a_deletion_makes_nothing_anew(
    cluster: Cluster, operator: str, namespace: str
) -> None:
    network = ready(cluster, namespace, SPEC)
    # Somebody's finalizer keeps the network, on its way out, for as long as the test looks.
    patch = '{"metadata":{"finalizers":["example.com/keep"]}}'
    network.kubectl("patch", "p2pn", network.name, "--type=merge", "-p", patch)
    network.kubectl("delete", "p2pn", network.name, "--wait=false", "--cascade=foreground")
    cluster.kubectl("-n", operator, "delete", "pod", "-l", OPERATOR, "--force", "--grace-period=0")
    wait_for(lambda: not network.objects(CHILDREN), "nothing left but the network", 120, every=1)
    cluster.kubectl("-n", operator, "rollout", "status", "deployment/minga", "--timeout=90s")
    # Another network is served by the operator of now, so it has seen this one, too.
    other = Network(cluster, namespace, "other")
    other.apply({"seeds": EPHEMERAL, "peers": EPHEMERAL | {"replicas": 0}, "broker": {"managed": EPHEMERAL}})
    other.wait("Reconciled")
    assert network.objects(CHILDREN) == []
    patch = '{"metadata":{"finalizers":null}}'
    network.kubectl("patch", "p2pn", network.name, "--type=merge", "-p", patch)
    network.kubectl("wait", "p2pn", network.name, "--for=delete", "--timeout=60s")
    other.delete()
