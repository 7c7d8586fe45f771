"""The operator's dashboard and rules, on a real operator at work: none of them is dead."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster import Cluster
from tests.monitoring import expressions
from tests.monitoring.expressions import RULES, is_of_operator
from tests.monitoring.prometheus import prometheus, silent

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

SECONDS = 90.0
NOWHERE = {"nodeSelector": {"nowhere": "yes"}, "storage": {"ephemeral": True}}


def by_api_server(cluster: Cluster, namespace: str, pod: str, base: Path) -> dict[str, Any]:
    """Scrapes a pod through the API server, as the kubeconfig's user."""
    config = yaml.safe_load(cluster.kubeconfig.read_text())
    place, user = config["clusters"][0]["cluster"], config["users"][0]["user"]

    def file(holder: dict[str, str], key: str) -> str:
        if key in holder:
            return str((cluster.kubeconfig.parent / holder[key]).resolve())
        path = base / key
        path.write_bytes(base64.b64decode(holder[f"{key}-data"]))
        return str(path)

    return {
        "job_name": "operator",
        "scheme": "https",
        "metrics_path": f"/api/v1/namespaces/{namespace}/pods/{pod}:8080/proxy/metrics",
        "tls_config": {
            "ca_file": file(place, "certificate-authority"),
            "cert_file": file(user, "client-certificate"),
            "key_file": file(user, "client-key"),
        },
        "static_configs": [
            {
                "targets": [place["server"].removeprefix("https://")],
                "labels": {"namespace": "here", "pod": pod},
            }
        ],
    }


@contextmanager
def changing(cluster: Cluster, namespace: str) -> Iterator[None]:
    """A network whose pods are never scheduled, and whose spec changes all the time."""
    stop = threading.Event()

    def change() -> None:
        replicas = 0
        while not stop.is_set():
            replicas = replicas % 3 + 1
            spec = {"seeds": NOWHERE, "peers": {**NOWHERE, "replicas": replicas}}
            spec["broker"] = {"managed": {"image": "not-there:1"}}
            content = {
                "apiVersion": "minga.dev/v1alpha1",
                "kind": "P2PNetwork",
                "metadata": {"name": "restless", "namespace": namespace},
                "spec": spec,
            }
            cluster.kubectl("apply", "-f", "-", input=json.dumps(content))
            stop.wait(2)

    thread = threading.Thread(target=change)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(60)
        cluster.kubectl("-n", namespace, "delete", "p2pnetwork", "restless", "--wait=false")


def test_every_panel_and_rule_of_the_operator_has_an_answer(
    cluster: Cluster, operator: str, namespace: str, tmp_path: Path
) -> None:
    living = [one for one in expressions.everything() if is_of_operator(one)]
    assert len(living) > 10
    pods = json.loads(
        cluster.kubectl(
            *("-n", operator, "get", "pods", "-l", "app.kubernetes.io/name=minga-operator", "-o", "json"),
            "--field-selector=status.phase=Running",
        )
    )
    scrapes = [by_api_server(cluster, operator, pods["items"][-1]["metadata"]["name"], tmp_path)]
    with changing(cluster, namespace), prometheus(tmp_path / "prometheus", RULES, scrapes) as server:
        assert silent(server, living, SECONDS) == []
