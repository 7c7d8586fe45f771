"""Apply, delete, apply: the operator knows what is there, and not what was."""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client, config

from minga_operator.kinds import NETWORK, SECRET
from minga_operator.kube import Kube
from tests.cluster import Cluster
from tests.e2e.late_answers import operator_of, proxy
from tests.e2e.networks import Network
from tests.waiting import wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(3600), pytest.mark.usefixtures("operator")]

OPERATOR = "app.kubernetes.io/name=minga-operator"
NOWHERE = {"nodeSelector": {"nowhere": "yes"}, "storage": {"ephemeral": True}}
"""Pods that stay pending: what is tried is the operator."""
PENDING: dict[str, Any] = {
    "seeds": NOWHERE,
    "peers": NOWHERE,
    "broker": {"managed": NOWHERE},
    "access": {"tokens": "Managed"},
    "peerTls": {"certificates": "Managed"},
}
SECRETS = ["library-broker-credentials", "library-peer-ca", "library-peer-tls", "library-tokens"]


def rounds(cluster: Cluster, namespace: str, count: int) -> list[float]:
    """Seconds to Reconciled of each round; each deletion comes at another moment of the operator's work.

    Without kubectl, whose start takes longer than a deletion.
    """
    configuration = client.Configuration()
    config.load_kube_config(  # type: ignore[no-untyped-call]
        str(cluster.kubeconfig), client_configuration=configuration
    )
    kube, chance = Kube(configuration), random.Random(count)
    body = {
        "apiVersion": NETWORK.api_version,
        "kind": NETWORK.name,
        "metadata": {"name": "library", "namespace": namespace},
        "spec": PENDING,
    }

    def network() -> dict[str, Any]:
        return kube.find(NETWORK, namespace, "library") or {}

    def reconciled() -> bool:
        conditions = network().get("status", {}).get("conditions", ())
        return any(item["type"] == "Reconciled" and item["status"] == "True" for item in conditions)

    times = []
    for number in range(count):
        kube.create(NETWORK, body)
        time.sleep(chance.uniform(0, 1))
        kube.delete(NETWORK, network())
        time.sleep(chance.uniform(0, 0.1))
        kube.create(NETWORK, body)
        began = time.monotonic()
        wait_for(reconciled, f"round {number}: {network()}", every=0.1)
        times.append(time.monotonic() - began)
        uid = network()["metadata"]["uid"]
        for name in SECRETS:
            secret = kube.find(SECRET, namespace, name)
            assert secret is not None
            (owner,) = secret["metadata"]["ownerReferences"]
            assert owner["uid"] == uid, f"round {number}: {name}"
        kube.delete(NETWORK, network())
    return times


def test_a_network_applied_deleted_and_applied_again_does_not_wait_for_what_is_gone(
    cluster: Cluster, namespace: str
) -> None:
    rounds(cluster, namespace, 8)


@pytest.mark.alone
def test_an_answer_that_comes_after_the_end_of_its_object_brings_back_no_ghost(
    cluster: Cluster, operator: str, namespace: str, tmp_path: Path
) -> None:
    network, system = Network(cluster, namespace), Network(cluster, operator)
    system.kubectl("scale", "deployment/minga", "--replicas=0")
    try:
        wait_for(lambda: not system.objects("pods", OPERATOR), "no other operator", every=0.5)
        with proxy(cluster, seconds=3) as address, operator_of(address, namespace, tmp_path) as log:
            for _ in range(3):
                network.apply(PENDING)
                wait_for(lambda: network.objects("secrets"), "a first object, whose answer is on its way")
                network.kubectl("delete", "p2pn", network.name)
                wait_for(lambda: not network.objects("secrets"), "its end, before the answer")
            network.apply(PENDING)
            network.wait("Reconciled", timeout=240)
            assert "Traceback" not in log.read_text()
        network.delete()
    finally:
        system.kubectl("scale", "deployment/minga", "--replicas=1")
        system.kubectl("rollout", "status", "deployment/minga", "--timeout=120s")


@pytest.mark.slow
def test_the_same_200_times(cluster: Cluster, namespace: str) -> None:
    times = sorted(rounds(cluster, namespace, 200))
    print(f"to Reconciled: median {times[100]:.1f} s, longest {times[-1]:.1f} s")
