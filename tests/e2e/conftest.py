"""The cluster that the end-to-end tests share."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster import Cluster

CHART = Path(__file__).parents[2] / "charts" / "minga"
RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}


@pytest.fixture(scope="session")
def cluster() -> Cluster:
    """A running Kubernetes; it stays up after the tests (`python -m tests.cluster down`)."""
    return Cluster.ensure(name=os.environ.get("MINGA_TEST_CLUSTER_NAME", "default"))


@pytest.fixture(scope="session")
def operator(cluster: Cluster) -> str:
    """The namespace where the operator runs, installed by its chart with the images of this tree."""
    images = cluster.load_images(["rabbitmq", "node", "operator"])
    namespace = "minga-system"
    metadata = {"name": namespace, "labels": RESTRICTED}
    content = {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}
    cluster.kubectl("apply", "-f", "-", input=json.dumps(content))
    settings = {
        "image.repository": images["operator"].partition(":")[0],
        "image.tag": images["operator"].partition(":")[2],
        "nodeImage.repository": images["node"].partition(":")[0],
        "nodeImage.tag": images["node"].partition(":")[2],
        "brokerImage": images["rabbitmq"],
        # The image's name stays while its content changes: this makes the pods new ones.
        "podAnnotations.installed": uuid.uuid4().hex,
    }
    values = ",".join(f"{name}={value}" for name, value in settings.items())
    arguments = ("upgrade", "--install", "minga", CHART, "-n", namespace, "--set", values)
    cluster.helm(*arguments, "--wait", "--timeout", "120s")
    return namespace


@pytest.fixture
def namespace(cluster: Cluster) -> Iterator[str]:
    """A namespace of the test's own that accepts only pods of the restricted standard."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    metadata = {"name": name, "labels": RESTRICTED}
    content = {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}
    cluster.kubectl("create", "-f", "-", input=json.dumps(content))
    yield name
    cluster.kubectl("delete", "namespace", name, "--wait=false")
