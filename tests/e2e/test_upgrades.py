"""Another operator, which makes pods otherwise, is put in the place of the one that made a network."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster import Cluster
from tests.cluster.layout import REPOSITORY
from tests.e2e.install import install
from tests.e2e.networks import Network
from tests.waiting import wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.alone, pytest.mark.timeout(1200)]

SPEC = {
    "seeds": {"storage": {"ephemeral": True}},
    "peers": {"replicas": 2, "storage": {"ephemeral": True}},
    "broker": {"managed": {"storage": {"ephemeral": True}}},
}
NEWER = '{"name": "NEWER", "value": "1"}'
CHANGES = {
    "workload.py": ("            *_identity(", f"            {NEWER}, *_identity("),
    "broker.py": ('{"name": "HOME", "value": _HOME},', f'{{"name": "HOME", "value": _HOME}}, {NEWER},'),
    "config.py": ('"log_format": "json",', '"log_format": "json", "gossip_seconds": 2.0,'),
}
"""What a later version of the operator's sources says otherwise: all pods, and what nodes read."""


@pytest.fixture
def newer(cluster: Cluster, tmp_path: Path) -> str:
    """The tag of an operator of later sources, built from them and on every Kubernetes node."""
    for folder in ("operator", "protos"):
        shutil.copytree(
            REPOSITORY / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info")
        )
    resources = tmp_path / "operator" / "src" / "minga_operator" / "resources"
    for name, (old, new) in CHANGES.items():
        text = (resources / name).read_text()
        assert text.count(old) == 1, name
        (resources / name).write_text(text.replace(old, new))
    cluster.load_images_of(tmp_path, {"operator": "minga-operator:newer"})
    return "newer"


@pytest.fixture
def network(cluster: Cluster, operator: str, namespace: str) -> Iterator[Network]:
    found = Network(cluster, namespace)
    found.apply(SPEC)
    found.wait(timeout=240)
    yield found
    install(cluster)
    found.delete()


def uids(network: Network, component: str = "") -> dict[str, str]:
    """The pods, of one component or of all."""
    selector = "app.kubernetes.io/instance=library"
    selector += f",app.kubernetes.io/component={component}" if component else ""
    return {
        pod["metadata"]["name"]: pod["metadata"]["uid"]
        for pod in network.objects("pods", selector)
        if "deletionTimestamp" not in pod["metadata"]
    }


def of_the_newer(network: Network) -> set[str]:
    """The pods that the newer operator's template made."""
    return {
        pod["metadata"]["name"]
        for pod in network.objects("pods")
        if json.loads(NEWER) in pod["spec"]["containers"][0]["env"]
    }


def test_an_operator_that_renders_otherwise_replaces_no_pod_until_it_is_asked_to(
    cluster: Cluster, network: Network, newer: str
) -> None:
    before = uids(network)
    assert network.wait("UpToDate") == "All pods are made of this operator's templates"
    files = network.object("configmap", "library-config")["data"]

    install(cluster, f"image.tag={newer}")
    message = network.wait("UpToDate", "False", "EarlierTemplate", timeout=60)
    assert "library-broker, library-peer, library-seed" in message
    network.looked_at()
    network.wait()
    assert uids(network) == before
    assert network.object("configmap", "library-config")["data"] == files

    # Scaling changes no pod that there is, and the new one is like them.
    network.kubectl("scale", "p2pn/library", "--replicas=3")
    wait_for(lambda: len(uids(network, "peer")) == 3, "a third peer", 60)
    network.wait(timeout=120)
    assert uids(network).items() > before.items()
    assert of_the_newer(network) == set()

    # What the user changes about the peers brings the newer template along, for them.
    seed, broker, peers = uids(network, "seed"), uids(network, "broker"), uids(network, "peer")
    network.patch({"peers": {"resources": {"requests": {"cpu": "10m"}}}})
    wait_for(lambda: of_the_newer(network) == set(peers), "newer peers", 240, every=1)
    network.wait(timeout=120)
    assert not uids(network, "peer").items() & peers.items()
    assert (uids(network, "seed"), uids(network, "broker")) == (seed, broker)
    message = network.wait("UpToDate", "False", "EarlierTemplate")
    assert message.startswith("library-broker, library-seed: ")

    # The request that the message tells of brings it to the others.
    network.kubectl(
        "annotate", "p2pn", "library", "--overwrite", "minga.dev/restartedAt=2026-01-02T03:04:05Z"
    )
    wait_for(lambda: of_the_newer(network) == set(uids(network)), "newer pods only", 300, every=1)
    network.wait("UpToDate", timeout=60)
    network.wait(timeout=240)
    assert not uids(network).items() & (seed | broker | peers).items()
    assert "gossip_seconds" in network.object("configmap", "library-config")["data"]["peer.json"]

    # And back: for the operator of before, too, the pods are another's.
    after = uids(network)
    install(cluster)
    network.wait("UpToDate", "False", "EarlierTemplate", timeout=60)
    network.looked_at()
    assert uids(network) == after
