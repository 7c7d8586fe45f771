"""The chart over its life: a first network, `helm test`, an upgrade, the end."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster import Cluster, ClusterError
from tests.e2e.install import CHART, install
from tests.e2e.networks import Network
from tests.waiting import wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(1200)]

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


def newer(folder: Path) -> Path:
    """The chart as a later release, with another default image for nodes."""
    chart = folder / "minga"
    shutil.copytree(CHART, chart)
    text = (chart / "Chart.yaml").read_text()
    (chart / "Chart.yaml").write_text(re.sub(r"(?m)^(version|appVersion): .*", r'\1: "9.9.9"', text))
    return chart


def test_an_upgrade_keeps_peers_and_files_and_helm_test_passes(
    cluster: Cluster, release: Network, tmp_path: Path
) -> None:
    cluster.helm("test", "minga", "-n", release.namespace, timeout=180)
    with release.rest("library-peer-0") as rest:
        assert any(row["name"].startswith("helm-test-") for row in rest.files("helm-test"))
    before, operator = (
        pods(release),
        release.kubectl("get", "pods", "-l", "app.kubernetes.io/name=minga-operator"),
    )
    settings = "nodeImage.tag=test2,podAnnotations.installed=newer"
    cluster.helm(
        "upgrade",
        "minga",
        newer(tmp_path),
        "-n",
        release.namespace,
        "--reuse-values",
        "--set",
        settings,
        "--wait",
    )
    assert release.kubectl("get", "pods", "-l", "app.kubernetes.io/name=minga-operator") != operator
    # The new operator has looked at the network: it repairs what is changed now.
    release.kubectl(
        "patch", "service", "library", "--type=merge", "-p", '{"spec":{"selector":{"minga.dev/role":"x"}}}'
    )
    wait_for(
        lambda: release.object("service", "library")["spec"]["selector"]["minga.dev/role"] == "node",
        "a repair",
        60,
    )
    release.wait()
    assert pods(release) == before
    assert release.get()["status"]["version"] == "test"

    cluster.helm("uninstall", "minga", "-n", release.namespace, "--wait", "--timeout", "120s")
    assert "p2pnetworks.minga.dev" in cluster.kubectl("get", "crd", "-o", "name")
    with pytest.raises(ClusterError, match="not found"):
        release.get()
