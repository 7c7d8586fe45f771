"""A Kubernetes node that is cut off: what its peers had is served by others, or reported as not available."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster import Cluster
from tests.e2e.networks import Network, Rest
from tests.waiting import wait_for

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.slow,
    pytest.mark.alone,
    pytest.mark.usefixtures("operator"),
    pytest.mark.timeout(1200),
    pytest.mark.skipif(
        os.environ.get("MINGA_TEST_CLUSTER") == "existing", reason="cuts off a node of our own"
    ),
]
EPHEMERAL = {"storage": {"ephemeral": True, "size": "1Gi"}}


@pytest.fixture
def network(cluster: Cluster, namespace: str) -> Iterator[Network]:
    assert len(cluster.nodes()) >= 3
    found = Network(cluster, namespace)
    found.apply({
        "seeds": {**EPHEMERAL, "nodeSelector": {"kubernetes.io/hostname": "node1"}},
        "peers": {"storage": {"size": "1Gi"}, "replicas": 3, "topologySpreadConstraints": [spread()]},
        "broker": {"managed": {**EPHEMERAL, "nodeSelector": {"kubernetes.io/hostname": "node1"}}},
    })
    found.wait(timeout=300)
    yield found
    found.kubectl("delete", "p2pn", "--all", "--wait=false")


def spread() -> dict[str, Any]:
    return {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": {"app.kubernetes.io/component": "peer"}},
    }


def rows(rest: Rest) -> dict[str, tuple[bool, set[str]]]:
    """By name: whether it is available, and which holders are online."""
    return {
        row["name"]: (row["available"], {holder["peer"] for holder in row["holders"] if holder["online"]})
        for row in rest.files()
    }


def test_files_of_a_node_that_is_cut_off(cluster: Cluster, network: Network, tmp_path: Path) -> None:
    where = {pod["metadata"]["name"]: pod["spec"]["nodeName"] for pod in network.objects("pods")}
    peers = [name for name in network.pods("peer") if where[name] != "node1"]
    lost, kept = peers[0], peers[1]
    for name in ("both.bin", "lonely.bin"):
        (tmp_path / name).write_bytes(os.urandom(300_000))
    with network.rest(lost) as rest:
        assert rest.put("both.bin", tmp_path / "both.bin") == 201
        assert rest.put("lonely.bin", tmp_path / "lonely.bin") == 201
    with network.rest(kept) as rest:
        assert rest.put("both.bin", tmp_path / "both.bin") == 201
    with network.rest("library-seed-0") as rest:
        wait_for(
            lambda: rows(rest) == {"both.bin": (True, {lost, kept}), "lonely.bin": (True, {lost})},
            "both files",
            60,
        )
        cluster.cut(where[lost])
        try:
            wait_for(
                lambda: rows(rest) == {"both.bin": (True, {kept}), "lonely.bin": (False, set())},
                "the loss",
                90,
                every=0.5,
            )
            assert rest.read("/files/both.bin") == (tmp_path / "both.bin").read_bytes()
            network.wait("PeersReady", "False", timeout=120)
        finally:
            cluster.heal(where[lost])
        # The peer comes back with its volume.
        wait_for(lambda: rows(rest)["lonely.bin"][0], "the other file again", 180, every=1)
