"""Live networks that change: fewer peers, other images, larger volumes, lost volumes."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster import Cluster
from tests.e2e.networks import Network, Rest, sha256_in
from tests.waiting import wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1200), pytest.mark.usefixtures("operator")]

EPHEMERAL = {"storage": {"ephemeral": True, "size": "4Gi"}}
BROKER = {"managed": {"storage": {"ephemeral": True}}}


@pytest.fixture
def network(cluster: Cluster, namespace: str) -> Iterator[Network]:
    found = Network(cluster, namespace)
    yield found
    found.kubectl("delete", "p2pn", "--all", "--wait=false")


def names(rest: Rest) -> set[str]:
    return {row["name"] for row in rest.files() if row["available"]}


def random_file(folder: Path, size: int) -> Path:
    path = folder / "random.bin"
    with path.open("wb") as content:
        for _ in range(size >> 20):
            content.write(os.urandom(1 << 20))
    return path


def share_one_each(network: Network, folder: Path, peers: int) -> dict[str, str]:
    """Puts a file of its own on each peer; returns their digests by name."""
    digests = {}
    for ordinal in range(peers):
        path = folder / f"{ordinal}.bin"
        path.write_bytes(os.urandom(2_000_000 + ordinal))
        with network.rest(f"library-peer-{ordinal}") as rest:
            assert rest.put(path.name, path) == 201
        digests[path.name] = hashlib.sha256(path.read_bytes()).hexdigest()
    with network.rest("library-seed-0") as rest:
        wait_for(lambda: names(rest) == set(digests), "all files in the index", 60)
    return digests


def scale(network: Network, peers: int) -> None:
    network.kubectl("scale", "p2pn/library", f"--replicas={peers}")
    network.wait(timeout=400)
    expected = [f"library-peer-{ordinal}" for ordinal in range(peers)]
    wait_for(lambda: network.pods("peer") == expected, f"{peers} peers", 120)


def all_are_there(network: Network, digests: dict[str, str]) -> None:
    with network.rest("library-seed-0") as rest:
        wait_for(lambda: names(rest) == set(digests), "all files, still available", 60)
        for name, digest in digests.items():
            assert hashlib.sha256(rest.read(f"/files/{name}")).hexdigest() == digest
    assert "draining" not in network.get()["status"]


def test_no_file_is_lost_when_peers_are_scaled_away(network: Network, tmp_path: Path) -> None:
    network.apply({"seeds": EPHEMERAL, "peers": {**EPHEMERAL, "replicas": 4}, "broker": BROKER})
    network.wait(timeout=300)
    digests = share_one_each(network, tmp_path, 4)
    scale(network, 1)
    all_are_there(network, digests)


@pytest.mark.slow
def test_three_ten_two_with_every_file_still_there(network: Network, tmp_path: Path) -> None:
    network.apply({"seeds": EPHEMERAL, "peers": EPHEMERAL, "broker": BROKER})
    network.wait(timeout=300)
    scale(network, 10)
    digests = share_one_each(network, tmp_path, 10)
    scale(network, 2)
    all_are_there(network, digests)


@pytest.mark.slow
def test_a_peer_that_cannot_hand_over_in_time_goes_and_that_is_told(network: Network, tmp_path: Path) -> None:
    network.apply({
        "seeds": EPHEMERAL,
        "peers": {"storage": {"size": "1Gi"}, "replicas": 2, "drainSeconds": 5},
        "broker": BROKER,
        # 100 MB would take the others well over a minute.
        "sharing": {"downloadLimit": "1M"},
    })
    network.wait(timeout=300)
    with network.rest("library-peer-1") as rest:
        assert rest.put("large.bin", random_file(tmp_path, 100 << 20)) == 201
    network.kubectl("scale", "p2pn/library", "--replicas=1")
    message = network.wait("PeersReady", "False", "Draining", timeout=60)
    assert "library-peer-1" in message
    wait_for(lambda: network.pods("peer") == ["library-peer-0"], "the peer gone, late", 90, every=0.5)
    (event,) = json.loads(
        network.kubectl("get", "events", "--field-selector=reason=DrainDeadline", "-o", "json")
    )["items"]
    assert event["type"] == "Warning"
    assert "1 files are only on library-peer-1" in event["message"]
    # The file is not lost with it: its volume stays, and brings it back.
    with network.rest("library-seed-0") as rest:
        wait_for(lambda: names(rest) == set(), "nobody to have the file", 60)
        scale(network, 2)
        wait_for(lambda: names(rest) == {"large.bin"}, "the file again", 60)


@pytest.mark.slow
def test_an_image_is_rolled_out_seeds_first_while_a_download_runs(
    cluster: Cluster, network: Network, tmp_path: Path
) -> None:
    cluster.load_images(["node"], tags={"node": ["minga-node:test2"]})
    limits = {"uploadLimit": "30M"}
    persistent = {"storage": {"size": "4Gi"}}
    network.apply({
        "seeds": persistent,
        "peers": persistent | {"replicas": 2},
        "broker": BROKER,
        "sharing": limits,
    })
    network.wait(timeout=300)
    big = random_file(tmp_path, 1 << 30)
    with network.rest("library-seed-0") as rest:
        assert rest.put("big.bin", big) == 201
    with network.rest("library-peer-1") as rest:
        wait_for(lambda: "big.bin" in names(rest), "the file in the index", 60)
        number = str(rest.json("/api/v1/downloads", "POST", {"name": "big.bin"})["id"])
        wait_for(lambda: rest.json(f"/api/v1/downloads/{number}")["verified"] > 50_000_000, "some of it", 60)

    def images() -> dict[str, str]:
        return {
            pod["metadata"]["name"]: pod["spec"]["containers"][0]["image"]
            for pod in network.objects("pods", "minga.dev/role=node")
        }

    network.patch({"image": {"repository": "minga-node", "tag": "test2"}})
    order: list[str] = []

    def rolled() -> bool:
        now = images()
        order.extend(name for name in sorted(now) if now[name].endswith("test2") and name not in order)
        return network.condition("Ready").get("status") == "True" and len(order) == 3

    wait_for(rolled, "all pods on the new image", 300, every=0.5)
    assert order[0] == "library-seed-0"
    assert network.get()["status"]["version"] == "test2"
    with network.rest("library-peer-1") as rest:
        wait_for(
            lambda: rest.json(f"/api/v1/downloads/{number}")["state"] == "complete",
            "the download",
            300,
            every=0.5,
        )
    with big.open("rb") as content:
        expected = hashlib.file_digest(content, "sha256").hexdigest()
    assert sha256_in(network, "library-peer-1", "/data/big.bin") == expected


def uids(network: Network, kind: str) -> dict[str, str]:
    return {item["metadata"]["name"]: item["metadata"]["uid"] for item in network.objects(kind)}


def claims(network: Network, component: str) -> dict[str, str]:
    return {
        item["metadata"]["name"]: item["status"].get("capacity", {}).get("storage", "")
        for item in network.objects("persistentvolumeclaims")
        if f"-{component}-" in item["metadata"]["name"]
    }


def test_volumes_grow_under_running_pods_and_never_shrink(network: Network) -> None:
    spec: dict[str, Any] = {
        "seeds": EPHEMERAL,
        "peers": {"replicas": 2, "storage": {"size": "1Gi"}},
        "broker": BROKER,
    }
    network.apply(spec)
    network.wait(timeout=240)
    pods, sets = uids(network, "pods"), uids(network, "statefulsets")
    network.patch({"peers": {"storage": {"size": "2Gi"}}})
    wait_for(lambda: set(claims(network, "peer").values()) == {"2Gi"}, "grown claims", 90, every=0.5)
    network.wait(timeout=120)
    assert uids(network, "pods") == pods
    wait_for(
        lambda: uids(network, "statefulsets")["library-peer"] != sets["library-peer"], "a new StatefulSet", 30
    )
    template = network.object("statefulset", "library-peer")["spec"]["volumeClaimTemplates"][0]
    assert template["spec"]["resources"]["requests"]["storage"] == "2Gi"

    network.patch({"peers": {"storage": {"size": "1Gi"}, "replicas": 1}})
    message = network.wait("Reconciled", "False", "StorageRefused")
    assert "library-peer" in message
    assert "2Gi" in message
    # The rest of the spec holds.
    wait_for(lambda: network.pods("peer") == ["library-peer-0"], "the other change", 90)
    assert set(claims(network, "peer").values()) == {"2Gi"}
    network.patch({"peers": {"storage": {"size": "2Gi"}}})
    network.wait(timeout=120)


@pytest.mark.slow
def test_a_class_that_does_not_grow_is_reported_and_nothing_is_half_done(network: Network) -> None:
    fixed = {"storageClassName": "fixed", "size": "1Gi"}
    network.apply({"seeds": EPHEMERAL, "peers": {"replicas": 1, "storage": fixed}, "broker": BROKER})
    network.wait(timeout=240)
    sets = uids(network, "statefulsets")
    network.patch({"peers": {"storage": {"size": "2Gi"}}})
    message = network.wait("Reconciled", "False", "StorageRefused")
    assert "cannot grow" in message
    assert uids(network, "statefulsets") == sets
    assert claims(network, "peer") == {"data-library-peer-0": "1Gi"}


@pytest.mark.slow
def test_a_seed_that_lost_its_volume_joins_again(network: Network) -> None:
    network.apply({
        "seeds": {"storage": {"size": "1Gi"}},
        "peers": {**EPHEMERAL, "replicas": 2},
        "broker": BROKER,
    })
    network.wait(timeout=240)
    with network.rest("library-peer-0") as rest:
        rest.json("/files/note.txt", "PUT", "kept by the peer")
    before = uids(network, "persistentvolumeclaims")
    network.kubectl("delete", "pvc", "data-library-seed-0", "--wait=false")
    network.kubectl("delete", "pod", "library-seed-0")
    wait_for(
        lambda: (
            uids(network, "persistentvolumeclaims").get("data-library-seed-0")
            not in {None, before["data-library-seed-0"]}
        ),
        "a new volume",
        90,
    )
    network.wait(timeout=180)
    with network.rest("library-seed-0") as rest:
        wait_for(lambda: names(rest) == {"note.txt"}, "what the others share", 60)
        peers = {row["id"] for row in rest.json("/api/v1/peers")["peers"] if row["state"] == "alive"}
        assert peers == {"library-peer-0", "library-peer-1"}
