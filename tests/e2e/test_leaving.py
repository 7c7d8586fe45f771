"""Pods that leave with the only copies of files, while other things go wrong as well."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster import Cluster
from tests.e2e.networks import Network, Rest
from tests.waiting import wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900), pytest.mark.usefixtures("operator")]

VOLUME = {"storage": {"size": "1Gi"}}
EPHEMERAL = {"storage": {"ephemeral": True, "size": "1Gi"}}
BROKER = {"managed": {"storage": {"ephemeral": True}}}
GOES_AT_ONCE = {"persistentVolumeClaimRetentionPolicy": {"whenScaled": "Delete"}}
"""So that a pod that is scaled away too early takes its files with it."""


@pytest.fixture
def network(cluster: Cluster, namespace: str) -> Iterator[Network]:
    found = Network(cluster, namespace)
    yield found
    found.kubectl("delete", "p2pn", "--all", "--wait=false")


def names(rest: Rest) -> set[str]:
    return {row["name"] for row in rest.files() if row["available"]}


def put(network: Network, pod: str, folder: Path, count: int, size: int = 1_000_000) -> set[str]:
    """Puts files on one pod that no other has; returns their names."""
    found = set()
    with network.rest(pod) as rest:
        for number in range(count):
            path = folder / f"{pod}-{number}.bin"
            path.write_bytes(os.urandom(size))
            assert rest.put(path.name, path) == 201
            found.add(path.name)
    return found


def all_are_there(network: Network, wanted: set[str]) -> None:
    """Whether those that stayed have all files on their own disks."""
    with network.rest("library-seed-0") as rest:
        wait_for(lambda: names(rest) == wanted, f"all of {len(wanted)} files", 90, every=0.5)
    held: set[str] = set()
    for pod in (*network.pods("seed"), *network.pods("peer")):
        with network.rest(pod) as rest:
            held |= {row["name"] for row in rest.json("/api/v1/files?scope=local")["files"]}
    assert held == wanted


def uid(network: Network, pod: str) -> str:
    found: str = network.object("pod", pod)["metadata"]["uid"]
    return found


def ready(network: Network, pod: str) -> bool:
    (container,) = network.object("pod", pod)["status"]["containerStatuses"]
    return bool(container["ready"])


def deadlines(network: Network) -> list[dict[str, Any]]:
    selector = "--field-selector=reason=DrainDeadline"
    return list(json.loads(network.kubectl("get", "events", selector, "-o", "json"))["items"])


def test_a_peer_that_leaves_is_not_rolled_and_loses_nothing(network: Network, tmp_path: Path) -> None:
    """One apply with fewer peers and another configuration: a rollout begins with the one that leaves."""
    spec: dict[str, Any] = {
        "seeds": VOLUME,
        "peers": VOLUME | {"replicas": 3},
        "broker": BROKER,
        # 24 MB take the others longer than the seed takes to be rolled, which goes first.
        "sharing": {"downloadLimit": "200k"},
        **GOES_AT_ONCE,
    }
    network.apply(spec)
    network.wait(timeout=300)
    files = put(network, "library-peer-2", tmp_path, 12, 2_000_000)
    before = uid(network, "library-peer-2")
    network.apply(
        spec | {"peers": VOLUME | {"replicas": 2}, "sharing": {"uploadLimit": "50M", "downloadLimit": "200k"}}
    )
    seen = set()

    def gone() -> bool:
        pods = {item["metadata"]["name"]: item["metadata"]["uid"] for item in network.objects("pods")}
        seen.add(pods.get("library-peer-2", before))
        return "library-peer-2" not in pods

    wait_for(gone, "the peer that leaves gone", 240, every=0.3)
    assert seen == {before}, "it was made anew while it drained"
    network.wait(timeout=240)
    assert deadlines(network) == []
    all_are_there(network, files)


@pytest.mark.parametrize("component", ["peer", "seed"])
def test_a_pod_that_leaves_comes_back_when_it_is_deleted_and_goes_on_draining(
    network: Network, tmp_path: Path, component: str
) -> None:
    few, many = ({"replicas": 1}, {"replicas": 2})
    group = f"{component}s"
    spec: dict[str, Any] = {
        "seeds": VOLUME,
        "peers": VOLUME | few,
        "broker": BROKER,
        "sharing": {"downloadLimit": "500k"},
        **GOES_AT_ONCE,
    }
    network.apply(spec | {group: VOLUME | many})
    network.wait(timeout=300)
    leaves = f"library-{component}-1"
    files = put(network, leaves, tmp_path, 6)
    network.apply(spec | {group: VOLUME | few})
    network.wait(f"{group.capitalize()}Ready", "False", "Draining", timeout=60)
    first = uid(network, leaves)
    network.kubectl("delete", "pod", leaves, "--grace-period=1")

    def back() -> bool:
        pods = {item["metadata"]["name"]: item["metadata"]["uid"] for item in network.objects("pods")}
        return bool(pods.get(leaves, first) != first)

    wait_for(back, f"{leaves} made again", 60, every=0.2)
    wait_for(lambda: leaves not in network.pods(component), f"{leaves} gone", 240, every=0.5)
    network.wait(timeout=120)
    assert deadlines(network) == []
    all_are_there(network, files)
    volumes = "persistentvolumeclaims"
    wait_for(
        lambda: f"data-{leaves}" not in {item["metadata"]["name"] for item in network.objects(volumes)},
        "its volume gone",
        60,
    )


def test_a_peer_that_never_answers_goes_late_and_that_is_told(network: Network) -> None:
    spec: dict[str, Any] = {
        "seeds": EPHEMERAL,
        "peers": VOLUME | {"replicas": 2, "drainSeconds": 15},
        "broker": BROKER,
    }
    network.apply(spec)
    network.wait(timeout=300)
    # It ran, and cannot start again: what its volume holds is unknown.
    network.kubectl("set", "image", "pod/library-peer-1", "node=minga-node:missing")
    wait_for(lambda: not ready(network, "library-peer-1"), "a peer that is not ready", 90, every=0.5)
    network.apply(spec | {"peers": VOLUME | {"replicas": 1, "drainSeconds": 15}})
    message = network.wait("PeersReady", "False", "Draining", timeout=60)
    assert "library-peer-1 does not answer" in message
    wait_for(lambda: network.pods("peer") == ["library-peer-0"], "the peer gone, late", 90, every=0.5)
    (event,) = wait_for(lambda: deadlines(network), "the Event", 30)
    assert event["type"] == "Warning"
    assert "library-peer-1" in event["message"]
    assert "files" in event["message"]
    assert "bytes" in event["message"]


def test_peers_that_never_began_go_at_once(network: Network) -> None:
    nowhere = EPHEMERAL | {"nodeSelector": {"nowhere": "yes"}}
    network.apply({"seeds": EPHEMERAL, "peers": nowhere | {"replicas": 3}, "broker": BROKER})
    wait_for(lambda: len(network.pods("peer")) == 3, "three pods that wait", 60)
    network.kubectl("scale", "p2pn/library", "--replicas=1")
    wait_for(lambda: network.pods("peer") == ["library-peer-0"], "the others gone", 20, every=0.5)
    assert deadlines(network) == []
