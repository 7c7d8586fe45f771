"""The chart with its first network, where nobody has heard of a P2PNetwork yet, and the end of a release."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.cluster import Cluster, ClusterError
from tests.cluster.layout import Layout
from tests.cluster.lifecycle import Lifecycle
from tests.e2e.install import CHART

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(900),
    pytest.mark.skipif(
        os.environ.get("MINGA_TEST_CLUSTER") == "existing", reason="needs a cluster without our definition"
    ),
]

NAMESPACE = "first"
DEFINITION = "p2pnetworks.minga.dev"


@pytest.fixture(scope="module")
def bare() -> Iterator[Cluster]:
    """A cluster of its own; nothing has to run in it."""
    layout = Layout("fresh")
    yield Cluster.ensure(1, layout.name)
    Lifecycle(layout).down()


@pytest.fixture
def fresh(bare: Cluster) -> Iterator[Cluster]:
    """The same, as if it were new."""
    yield bare
    bare.helm("uninstall", "minga", "-n", NAMESPACE, "--ignore-not-found", "--no-hooks")
    bare.kubectl("delete", "crd", DEFINITION, "--ignore-not-found", "--wait=true")
    bare.kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found", "--wait=true", timeout=120)


def networks(cluster: Cluster) -> list[str]:
    items = json.loads(cluster.kubectl("-n", NAMESPACE, "get", "p2pn", "-o", "json"))["items"]
    return [item["metadata"]["name"] for item in items]


def parent(folder: Path) -> Path:
    """A chart of somebody's that has ours as a dependency."""
    chart = folder / "application"
    chart.mkdir()
    dependency = {"name": "minga", "version": ">=0.0.0-0", "repository": f"file://{CHART}"}
    content = {"apiVersion": "v2", "name": "application", "version": "1.0.0", "dependencies": [dependency]}
    (chart / "Chart.yaml").write_text(yaml.safe_dump(content))
    return chart


@pytest.mark.parametrize("command", [["install"], ["upgrade", "--install"]], ids=lambda words: words[-1])
def test_the_first_network_comes_with_the_chart(fresh: Cluster, command: list[str]) -> None:
    options = ("-n", NAMESPACE, "--create-namespace", "--set", "network.create=true")
    fresh.helm(*command, "minga", CHART, *options)
    assert networks(fresh) == ["library"]


def test_the_first_network_comes_with_a_chart_that_has_ours_as_a_dependency(
    fresh: Cluster, tmp_path: Path
) -> None:
    chart = parent(tmp_path)
    fresh.helm("dependency", "build", chart)
    options = ("-n", NAMESPACE, "--create-namespace", "--set", "minga.network.create=true")
    fresh.helm("install", "minga", chart, *options)
    assert networks(fresh) == ["library"]


def test_an_uninstall_leaves_the_network_and_the_next_install_finds_it(fresh: Cluster) -> None:
    options = ("-n", NAMESPACE, "--create-namespace", "--set", "network.create=true")
    fresh.helm("install", "minga", CHART, *options)
    uid = fresh.kubectl("-n", NAMESPACE, "get", "p2pn/library", "-o", "jsonpath={.metadata.uid}")
    fresh.helm("uninstall", "minga", "-n", NAMESPACE)
    assert networks(fresh) == ["library"]
    fresh.helm("install", "minga", CHART, *options)
    assert fresh.kubectl("-n", NAMESPACE, "get", "p2pn/library", "-o", "jsonpath={.metadata.uid}") == uid


@pytest.mark.parametrize("change", ["network.create=false", "network.create=true,network.name=other"])
def test_another_value_of_the_network_deletes_none(fresh: Cluster, change: str) -> None:
    options = ("-n", NAMESPACE, "--create-namespace", "--set")
    fresh.helm("install", "minga", CHART, *options, "network.create=true")
    # The Job of the upgrade has no image here.
    fresh.helm("upgrade", "minga", CHART, *options, change, "--no-hooks")
    assert "library" in networks(fresh)


def test_an_upgrade_that_cannot_bring_the_definition_up_to_date_changes_nothing(fresh: Cluster) -> None:
    options = ("-n", NAMESPACE, "--create-namespace", "--set")
    fresh.helm("install", "minga", CHART, *options, "network.create=true")
    with pytest.raises(ClusterError, match="pre-upgrade"):
        fresh.helm("upgrade", "minga", CHART, *options, "replicas=2", "--timeout", "10s")
    found = json.loads(fresh.kubectl("-n", NAMESPACE, "get", "deployment/minga", "-o", "json"))
    assert found["spec"]["replicas"] == 1
