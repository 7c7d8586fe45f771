"""The operator in a cluster, installed by its chart with the images of this tree, and the kinds of others."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.cluster import Cluster
from tests.cluster.beside import definitions

CHART = Path(__file__).parents[2] / "charts" / "minga"
NAMESPACE = "minga-system"
RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}


def install(cluster: Cluster, *more: str, chart: Path = CHART) -> str:
    """Installs or upgrades it, with further ``--set`` values; returns its namespace."""
    images = cluster.load_images(["rabbitmq", "node", "operator"])
    metadata = {"name": NAMESPACE, "labels": RESTRICTED}
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
    values = ",".join([*(f"{name}={value}" for name, value in settings.items()), *more])
    arguments = ("upgrade", "--install", "minga", chart, "-n", NAMESPACE, "--set", values)
    cluster.helm(*arguments, "--wait", "--timeout", "120s")
    return NAMESPACE


@contextmanager
def kinds_of_others(cluster: Cluster) -> Iterator[None]:
    """Meanwhile there are Prometheus', the Gateway API's and RabbitMQ's kinds, as they are published."""
    folder = definitions()
    cluster.kubectl("apply", "--server-side", "-f", folder)
    try:
        yield
    finally:
        cluster.kubectl("delete", "-f", folder, "--wait=true", timeout=120)
