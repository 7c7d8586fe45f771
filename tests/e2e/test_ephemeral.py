"""Ephemeral storage: what does not fit is refused, before the kubelet evicts the pod with all that did."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster import Cluster
from tests.e2e.networks import Network
from tests.waiting import wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600), pytest.mark.usefixtures("operator")]

MB = 1 << 20
SMALL = {"storage": {"ephemeral": True, "size": "40Mi"}}
USUAL = {"storage": {"ephemeral": True}}


@pytest.fixture
def network(cluster: Cluster, namespace: str) -> Iterator[Network]:
    found = Network(cluster, namespace)
    found.apply({"seeds": USUAL, "peers": SMALL | {"replicas": 1}, "broker": {"managed": USUAL}})
    found.wait(timeout=240)
    yield found
    found.kubectl("delete", "p2pn", "--all", "--wait=false")


def random_file(folder: Path, size: int) -> Path:
    path = folder / f"{size}.bin"
    path.write_bytes(os.urandom(size))
    return path


def uid(network: Network) -> str:
    return str(network.object("pod", "library-peer-0")["metadata"]["uid"])


def test_a_file_that_does_not_fit_is_refused_and_nobody_is_evicted(network: Network, tmp_path: Path) -> None:
    before = uid(network)
    with network.rest("library-peer-0") as rest:
        assert rest.json("/api/v1/node")["disk_total"] <= 40 * MB
        assert rest.put("large.bin", random_file(tmp_path, 60 * MB)) == 507
    part = random_file(tmp_path, 6 * MB)
    answers: list[int] = []
    while not answers or answers[-1] == 201:
        with network.rest("library-peer-0") as rest:
            answers.append(rest.put(f"{len(answers)}.bin", part))
    assert answers[-1] == 507
    assert len(answers) > 3
    # The kubelet looks every 10 s: a wait for nothing.
    over = time.monotonic() + 30
    while time.monotonic() < over:
        assert uid(network) == before
        time.sleep(2)
    assert network.condition("NotEvicted")["status"] == "True"


def test_an_eviction_is_told(network: Network) -> None:
    before = uid(network)
    # Past the node, which would refuse it.
    write = "open('/data/.much','wb').write(bytes(80<<20))"
    network.kubectl("exec", "library-peer-0", "-c", "node", "--", "python3", "-c", write)
    message = network.wait("NotEvicted", "False", "Evicted", timeout=120)
    assert "library-peer-0" in message
    selector = "--field-selector=reason=PodEvicted"
    (event,) = json.loads(network.kubectl("get", "events", selector, "-o", "json"))["items"]
    assert event["type"] == "Warning"
    wait_for(lambda: "library-peer-0" in network.pods("peer") and uid(network) != before, "a new pod", 60)
