"""Every command of the quick start and the how-tos that needs a cluster, as the pages have them."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster import Cluster
from tests.cluster.build import ensure_binaries
from tests.docs import blocks, workspace
from tests.docs.blocks import Kind
from tests.e2e.install import CHART, NAMESPACE, install
from tests.e2e.networks import Network

CLUSTER = [page for path in blocks.PAGES if (page := blocks.read(path)).of(Kind.CLUSTER)]
INSTALLS = "helm install"
# By their public names, so that the chart's own values hold, as in a user's cluster.
PUBLIC = {
    "node": ["minga-node:0.1.0"],
    "operator": ["minga-operator:0.1.0"],
    "rabbitmq": ["rabbitmq:4.1-management"],
}

pytestmark = [pytest.mark.e2e, pytest.mark.alone, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def clean(cluster: Cluster) -> Iterator[Cluster]:
    """A cluster with the images and without the operator; other tests find theirs again afterwards."""
    cluster.load_images(list(PUBLIC), PUBLIC)
    cluster.helm("uninstall", "minga", "-n", NAMESPACE, "--ignore-not-found", "--wait")
    yield cluster
    cluster.helm("uninstall", "minga", "-n", NAMESPACE, "--ignore-not-found", "--wait")
    install(cluster)


@pytest.fixture
def variables(clean: Cluster, namespace: str, tmp_path: Path) -> dict[str, str]:
    """The environment of a user whose current namespace is the test's."""
    found = workspace.environment(tmp_path)
    commands = tmp_path / "bin"
    commands.mkdir()
    if clean.layout is not None:
        for program in (ensure_binaries().kubectl, ensure_binaries().helm):
            (commands / program.name).symlink_to(program)
    kubeconfig = tmp_path / "kubeconfig"
    shutil.copy(clean.kubeconfig, kubeconfig)
    found |= {**clean.environment(), "KUBECONFIG": str(kubeconfig), "PATH": f"{commands}:{found['PATH']}"}
    run = ["kubectl", "config", "set-context", "--current", f"--namespace={namespace}"]
    subprocess.run(run, env=found, check=True, capture_output=True)
    return found


def foreign_broker(cluster: Cluster, namespace: str) -> str:
    """The AMQP URI of a RabbitMQ that is not the page's network's: that of another network."""
    other = Network(cluster, namespace, "other")
    storage = {"ephemeral": True}
    other.apply({
        "peers": {"replicas": 0},
        "seeds": {"storage": storage},
        "broker": {"managed": {"storage": storage}},
    })
    other.wait()
    return other.secret("other-broker-credentials")["uri"]


@pytest.mark.parametrize("page", CLUSTER, ids=lambda page: page.name)
def test_what_a_page_says_works(
    page: blocks.Page, clean: Cluster, variables: dict[str, str], namespace: str, tmp_path: Path
) -> None:
    script = blocks.script(page.of(Kind.CLUSTER))
    if INSTALLS not in script:
        options = ("--create-namespace", "--wait", "--timeout", "120s")
        clean.helm("upgrade", "--install", "minga", CHART, "-n", NAMESPACE, *options)
    if "AMQP_URI" in script:
        variables["AMQP_URI"] = foreign_broker(clean, namespace)
    ended = subprocess.run(
        ["bash", "-c", script],
        cwd=workspace.make(tmp_path, page),
        env=variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=600,
        check=False,
    )
    said = ended.stdout.decode(errors="replace")
    assert ended.returncode == 0, f"{said}\n{story(clean, namespace)}"


def story(cluster: Cluster, namespace: str) -> str:
    """What a person would look at when something is wrong."""
    names = json.loads(cluster.kubectl("-n", namespace, "get", "p2pn", "-o", "json"))["items"]
    found = [cluster.kubectl("-n", namespace, "get", "pods", "-o", "wide")]
    return "\n".join(
        found + [Network(cluster, namespace, item["metadata"]["name"]).story() for item in names]
    )
