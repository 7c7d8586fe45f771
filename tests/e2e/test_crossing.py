"""The whole way: helm install, kubectl apply, and a real file from one peer to another."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster import Cluster
from tests.cluster.build import ensure_binaries
from tests.e2e.networks import CHILDREN, Network, Rest, sha256_in
from tests.waiting import wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900), pytest.mark.usefixtures("operator")]

SAMPLE = Path(__file__).parents[2] / "manifests" / "samples" / "p2pnetwork.yaml"


@pytest.fixture(scope="session")
def big_file() -> Path:
    """The program that the test cluster's Kubernetes runs: over 100 MB that nobody made for this test."""
    path = ensure_binaries().kube
    assert path.stat().st_size >= 100_000_000
    return path


@pytest.fixture
def network(cluster: Cluster, namespace: str) -> Iterator[Network]:
    """The sample network, ready."""
    found = Network(cluster, namespace)
    found.kubectl("apply", "-f", str(SAMPLE))
    found.wait()
    yield found
    found.kubectl("delete", "p2pn", found.name, "--ignore-not-found", "--wait=false")


def row(rest: Rest, name: str) -> dict[str, Any]:
    """The file's row in that node's index; empty while it is not there."""
    return next((item for item in rest.files(name) if item["name"] == name), {})


def download(rest: Rest, name: str) -> str:
    return str(rest.json("/api/v1/downloads", "POST", {"name": name})["id"])


def complete(rest: Rest, number: str) -> bool:
    found = rest.json(f"/api/v1/downloads/{number}")
    assert found["state"] not in {"failed", "cancelled"}, found
    return bool(found["state"] == "complete")


def test_a_real_file_crosses_the_network_and_nothing_is_left_of_it(network: Network, big_file: Path) -> None:
    with network.rest("library-peer-0") as first, network.rest("library-peer-2") as other:
        assert first.put("kubernetes.bin", big_file) == 201
        found = wait_for(lambda: row(other, "kubernetes.bin"), "the file in the other peer's index", 60)
        assert found["size"] == big_file.stat().st_size
        assert [holder["peer"] for holder in found["holders"]] == ["library-peer-0"]
        assert [item["name"] for item in other.files("bernet")] == ["kubernetes.bin"]
        number = download(other, "kubernetes.bin")
        wait_for(lambda: complete(other, number), "the download", 120, every=0.2)

    with big_file.open("rb") as content:
        expected = hashlib.file_digest(content, "sha256").hexdigest()
    assert sha256_in(network, "library-peer-2", "/data/kubernetes.bin") == expected

    columns = network.kubectl("get", "p2pn", network.name).splitlines()[1].split()
    assert columns[1:4] == ["True", "1", "3"]
    assert columns[4] == "managed/Ready"

    network.delete()
    assert network.objects(CHILDREN) == []


def test_a_download_outlives_the_peers_that_take_part_in_it(network: Network, big_file: Path) -> None:
    with network.rest("library-seed-0") as seed:
        assert seed.put("kubernetes.bin", big_file) == 201
    # Slow enough that it runs while a holder goes, and then the peer that fetches it.
    network.patch({"sharing": {"uploadLimit": "5M"}})
    network.wait(timeout=300)
    with network.rest("library-peer-1") as rest:
        wait_for(lambda: row(rest, "kubernetes.bin"), "the file in the index", 60)
        number = download(rest, "kubernetes.bin")
        wait_for(
            lambda: rest.json(f"/api/v1/downloads/{number}")["verified"] > 10_000_000, "some of the file", 60
        )
        network.kubectl("delete", "pod", "library-seed-0", "--wait=false")
    network.kubectl("delete", "pod", "library-peer-1", "--wait=true")
    network.wait(timeout=300)

    with network.rest("library-peer-1") as rest:
        resumed = rest.json(f"/api/v1/downloads/{number}")
        assert resumed["verified"] >= 10_000_000
        wait_for(lambda: complete(rest, number), "the resumed download", 180, every=0.5)
    with big_file.open("rb") as content:
        expected = hashlib.file_digest(content, "sha256").hexdigest()
    assert sha256_in(network, "library-peer-1", "/data/kubernetes.bin") == expected
