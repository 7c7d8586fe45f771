"""The cluster that the end-to-end tests share."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterator

import pytest

from tests.cluster import Cluster
from tests.cluster.build import cache_lock
from tests.e2e.install import NAMESPACE, RESTRICTED, install

NODES = int(os.environ.get("MINGA_TEST_NODES", "3"))


@pytest.fixture(scope="session")
def cluster() -> Cluster:
    """A running Kubernetes; it stays up after the tests (`python -m tests.cluster down`)."""
    return Cluster.ensure(NODES, os.environ.get("MINGA_TEST_CLUSTER_NAME"))


@pytest.fixture(scope="session")
def operator(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory, testrun_uid: str) -> str:
    """The namespace where the operator runs; of several workers of one run, the first installs it."""
    done = tmp_path_factory.getbasetemp().parent / f"installed-{testrun_uid}"
    with cache_lock("install"):
        if not done.exists():
            install(cluster)
            done.touch()
    return NAMESPACE


@pytest.fixture
def namespace(cluster: Cluster) -> Iterator[str]:
    """A namespace of the test's own that accepts only pods of the restricted standard."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    metadata = {"name": name, "labels": RESTRICTED}
    content = {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}
    cluster.kubectl("create", "-f", "-", input=json.dumps(content))
    yield name
    cluster.kubectl("delete", "namespace", name, "--wait=false")
