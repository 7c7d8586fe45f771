"""The chart over its life: a first network, `helm test`, an upgrade, the end."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster import Cluster
from tests.e2e.install import CHART, install
from tests.e2e.networks import CHILDREN, Network, sha256_in
from tests.waiting import wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.alone, pytest.mark.timeout(1200)]

RELEASES = Path(__file__).parent / "releases"
EARLIER = RELEASES / "minga-0.1.0.tgz"
"""The chart of the release before."""
SOURCES = RELEASES / "minga-0.1.0-sources.tar.xz"
"""What its images are built from: node, operator and protos of the commit that the chart is of."""

SMALL = {
    "peers": {"replicas": 1, "storage": {"size": "1Gi"}},
    "seeds": {"storage": {"size": "1Gi"}},
    "broker": {"managed": {"storage": {"ephemeral": True}}},
}
FIRST = ("--reuse-values", "--set", "network.create=true", "--set-json", f"network.spec={json.dumps(SMALL)}")


@pytest.fixture
def release(cluster: Cluster) -> Iterator[Network]:
    """The operator with a first network made by the chart, ready."""
    namespace = install(cluster)
    cluster.helm("upgrade", "minga", CHART, "-n", namespace, *FIRST, "--wait")
    found = Network(cluster, namespace)
    found.wait(timeout=240)
    yield found
    install(cluster)
    found.kubectl("delete", "p2pn", "--all", "--wait=true")


def pods(network: Network) -> dict[str, str]:
    return {item["metadata"]["name"]: item["metadata"]["uid"] for item in network.objects("pods")}


def operators(network: Network) -> str:
    return network.kubectl("get", "pods", "-l", "app.kubernetes.io/name=minga-operator", "-o", "name")


def newer(folder: Path) -> Path:
    """The chart as a later release."""
    chart = folder / "minga"
    shutil.copytree(CHART, chart)
    text = (chart / "Chart.yaml").read_text()
    (chart / "Chart.yaml").write_text(re.sub(r"(?m)^(version|appVersion): .*", r'\1: "9.9.9"', text))
    return chart


def put(network: Network, name: str, file: Path) -> str:
    """Shares a file of a peer's; returns its digest."""
    file.write_bytes(os.urandom(5_000_000))
    with network.rest("library-peer-0") as rest:
        assert rest.put(name, file) == 201
    return hashlib.sha256(file.read_bytes()).hexdigest()


@pytest.fixture
def earlier(cluster: Cluster, tmp_path: Path) -> Iterator[Network]:
    """The release before this one: definition, chart, and images of its own sources, with a first network."""
    with tarfile.open(SOURCES) as archive:
        archive.extractall(tmp_path / "sources", filter="data")
    images = {"node": "minga-node:0.1.0", "operator": "minga-operator:0.1.0"}
    cluster.load_images_of(tmp_path / "sources", images)
    namespace = install(cluster)
    cluster.helm("uninstall", "minga", "-n", namespace, "--wait", "--timeout", "120s")
    cluster.kubectl("delete", "crd", "p2pnetworks.minga.dev", "--wait=true", timeout=120)
    install(cluster, "image.tag=0.1.0", "nodeImage.tag=0.1.0", chart=EARLIER)
    cluster.helm("upgrade", "minga", EARLIER, "-n", namespace, *FIRST, "--wait")
    found = Network(cluster, namespace)
    found.wait(timeout=240)
    yield found
    install(cluster)
    found.kubectl("delete", "p2pn", "--all", "--wait=true")


def test_an_upgrade_from_the_release_before_keeps_peers_and_files(
    cluster: Cluster, earlier: Network, tmp_path: Path
) -> None:
    assert "gateway" not in cluster.kubectl("explain", "p2pnetwork.spec")
    digest = put(earlier, "kept.bin", tmp_path / "kept.bin")
    before, operator = pods(earlier), operators(earlier)
    settings = "image.tag=test,nodeImage.tag=test,podAnnotations.installed=newer"
    options = ("--reset-then-reuse-values", "--set", settings, "--wait")
    cluster.helm("upgrade", "minga", newer(tmp_path), "-n", earlier.namespace, *options)
    assert operators(earlier) != operator
    # The new operator has looked at the network, and knows the new fields.
    earlier.looked_at()
    earlier.wait()
    assert pods(earlier) == before
    assert earlier.get()["status"]["version"] == "0.1.0"
    assert "gateway" in cluster.kubectl("explain", "p2pnetwork.spec")
    assert sha256_in(earlier, "library-peer-0", "/data/kept.bin") == digest
    with earlier.rest("library-seed-0") as rest:
        assert hashlib.sha256(rest.read("/files/kept.bin")).hexdigest() == digest

    # Then the nodes, when the user says so: with disks, queues and neighbours of the earlier version.
    earlier.patch({"image": {"repository": "minga-node", "tag": "test"}})
    earlier.wait("SeedsReady", "False", timeout=60)
    earlier.wait(timeout=300)
    assert earlier.get()["status"]["version"] == "test"
    now = pods(earlier)
    kept = {name for name in now if now[name] == before[name]}
    assert kept == {"library-broker-0"}
    with earlier.rest("library-seed-0") as rest:
        wait_for(lambda: rest.files("kept.bin"), "the file in the index", 60)
        assert hashlib.sha256(rest.read("/files/kept.bin")).hexdigest() == digest
        connected = b"\nminga_broker_connected 1.0"
        wait_for(
            lambda: connected in rest.read("/metrics"), "a broker with queues of the earlier version", 60
        )


def test_helm_test_passes_and_the_end_is_in_the_documented_order(
    cluster: Cluster, release: Network, tmp_path: Path
) -> None:
    cluster.helm("test", "minga", "-n", release.namespace, timeout=180)
    with release.rest("library-peer-0") as rest:
        assert any(row["name"].startswith("helm-test-") for row in rest.files("helm-test"))
    # A network of the user's own, beside the chart's first one.
    own = Network(cluster, release.namespace, "own")
    own.apply(SMALL)
    own.wait(timeout=240)
    before = pods(own), pods(release)

    # Uninstalling alone leaves the definition and all networks at work, also the one that Helm made.
    cluster.helm("uninstall", "minga", "-n", release.namespace, "--wait", "--timeout", "120s")
    assert "p2pnetworks.minga.dev" in cluster.kubectl("get", "crd", "-o", "name")
    assert (pods(own), pods(release)) == before
    with own.rest("own-peer-0") as rest:
        rest.json("/files/still.txt", "PUT", "here")
        assert json.loads(rest.read("/files/still.txt")) == "here"

    # In the documented order nothing is left: networks, release, definition.
    install(cluster)
    own.wait()
    assert (pods(own), pods(release)) == before
    own.delete()
    release.delete()
    cluster.helm("uninstall", "minga", "-n", release.namespace, "--wait", "--timeout", "120s")
    cluster.kubectl("delete", "crd", "p2pnetworks.minga.dev", "--wait=true", timeout=120)
    kinds = f"{CHILDREN},deployments,serviceaccounts,roles,rolebindings"
    usual = {"configmap/kube-root-ca.crt", "serviceaccount/default"}
    wait_for(
        lambda: set(release.kubectl("get", kinds, "-o", "name").split()) <= usual,
        "nothing left in the namespace",
        60,
        every=1,
    )
    roles = cluster.kubectl("get", "clusterroles,clusterrolebindings", "-o", "name")
    assert "minga" not in roles
