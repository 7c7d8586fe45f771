"""Apply, delete, apply: the operator knows what is there, and not what was."""

from __future__ import annotations

import random
import time
from typing import Any

import pytest

from tests.cluster import Cluster
from tests.e2e.networks import Network

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(3600), pytest.mark.usefixtures("operator")]

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


def rounds(network: Network, count: int) -> None:
    """Each time the deletion comes at another moment of the operator's work."""
    chance = random.Random(count)
    for number in range(count):
        network.apply(PENDING)
        time.sleep(chance.uniform(0, 1.5))
        network.kubectl("delete", "p2pn", network.name)
        network.apply(PENDING)
        network.wait("Reconciled", timeout=60)
        uid = network.get()["metadata"]["uid"]
        for name in SECRETS:
            (owner,) = network.object("secret", name)["metadata"]["ownerReferences"]
            assert owner["uid"] == uid, f"round {number}: {name}"
        network.kubectl("delete", "p2pn", network.name)


def test_a_network_applied_deleted_and_applied_again_does_not_wait_for_what_is_gone(
    cluster: Cluster, namespace: str
) -> None:
    rounds(Network(cluster, namespace), 8)


@pytest.mark.slow
def test_the_same_200_times(cluster: Cluster, namespace: str) -> None:
    rounds(Network(cluster, namespace), 200)
