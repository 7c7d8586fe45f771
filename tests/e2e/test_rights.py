"""Rights and namespaces that the operator had and has no more: it stops where it must, and nowhere else."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from typing import Any

import pytest

from tests.cluster import Cluster
from tests.e2e.install import RESTRICTED, install
from tests.e2e.networks import Network
from tests.waiting import wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.alone, pytest.mark.timeout(1500)]

NOWHERE = {"nodeSelector": {"nowhere": "yes"}, "storage": {"ephemeral": True}}
"""Pods that stay pending: what is tried is the operator."""
PENDING: dict[str, Any] = {"seeds": NOWHERE, "peers": NOWHERE, "broker": {"managed": NOWHERE}}
OPERATOR = "app.kubernetes.io/name=minga-operator"


@contextmanager
def without(cluster: Cluster, resource: str) -> Iterator[None]:
    """The operator's role lacks a resource; given back in the end, or by the caller's ``install``."""
    role = json.loads(cluster.kubectl("get", "clusterrole", "minga", "-o", "json"))
    rules = []
    for rule in role["rules"]:
        left = [item for item in rule["resources"] if item != resource]
        rules += [{**rule, "resources": left}] if left else []
    assert rules != role["rules"]

    def give(these: list[dict[str, Any]]) -> None:
        cluster.kubectl("patch", "clusterrole", "minga", "--type=merge", "-p", json.dumps({"rules": these}))

    give(rules)
    try:
        yield
    finally:
        give(role["rules"])


def restarted(system: Network) -> str:
    """Name of the operator's new pod, which is running, but need not be ready."""

    def running() -> list[str]:
        """The one there is, when the one before has gone."""
        pods = system.objects("pods", OPERATOR)
        states = [item["state"] for pod in pods for item in pod["status"].get("containerStatuses", ())]
        names = [pod["metadata"]["name"] for pod in pods]
        return names if len(pods) == 1 and any("running" in state for state in states) else []

    (before,) = wait_for(running, "one operator", every=0.5)
    system.kubectl("delete", "pod", before)
    wait_for(lambda: running() not in ([], [before]), "the operator's next pod", every=0.5)
    return running()[0]


def ask(system: Network, pod: str, path: str) -> tuple[int, str]:
    """(0, "") while it does not answer yet."""
    try:
        # A refusal's body is read while its way is still there.
        with system.forward(pod, 8080) as port:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as answer:
                    return answer.status, answer.read().decode()
            except urllib.error.HTTPError as error:
                with error:
                    return error.code, error.read().decode()
    except (OSError, HTTPException):
        return 0, ""


def leading(system: Network, pod: str) -> None:
    wait_for(lambda: ask(system, pod, "/readyz") == (200, "leading\n"), "a leader at work", every=0.5)


def test_without_a_right_to_ingresses_only_these_are_not_made(
    cluster: Cluster, operator: str, namespace: str
) -> None:
    system = Network(cluster, operator)
    network, shown = Network(cluster, namespace), Network(cluster, namespace, "shown")
    with without(cluster, "ingresses"):
        pod = restarted(system)
        leading(system, pod)
        system.kubectl("rollout", "status", "deployment/minga", "--timeout=60s")
        network.apply(PENDING)
        network.wait("Reconciled")
        shown.apply(PENDING | {"ingress": {"host": "files.example.com"}})
        assert "ingresses" in shown.wait("Reconciled", "False", "Refused")
        assert shown.object("statefulset", "shown-peer")
        metrics = ask(system, pod, "/metrics")[1]
        assert 'minga_operator_unwatched{kind="Ingress",watched_namespace=""} 1.0' in metrics
        log = system.kubectl("logs", pod)
        assert log.count("ingresses cannot be watched") == 1
    shown.wait("Reconciled")
    assert shown.object("ingress", "shown")
    wait_for(
        lambda: (
            'minga_operator_unwatched{kind="Ingress",watched_namespace=""} 0.0'
            in ask(system, pod, "/metrics")[1]
        ),
        "a watch of Ingresses",
        every=1,
    )
    assert [item["metadata"]["name"] for item in system.objects("pods", OPERATOR)] == [pod]
    network.delete()
    shown.delete()


def test_a_leader_that_can_serve_nobody_is_not_ready_and_says_why(
    cluster: Cluster, operator: str, namespace: str
) -> None:
    system, network = Network(cluster, operator), Network(cluster, namespace)
    network.apply(PENDING)
    network.wait("Reconciled")
    with without(cluster, "statefulsets"):
        pod = restarted(system)
        wait_for(lambda: "statefulsets" in ask(system, pod, "/readyz")[1], "a word about it", every=0.5)
        assert ask(system, pod, "/readyz")[0] == 503
        assert ask(system, pod, "/healthz") == (200, "ok\n")
        # Its network is left as it is, and that is no secret.
        network.wait("Reconciled", "False", "CannotWatch")
        assert network.condition("PeersReady")["status"] == "Unknown"
    leading(system, pod)
    network.wait("Reconciled")
    network.delete()


def test_a_watched_namespace_that_its_owner_deleted_stops_no_other(
    cluster: Cluster, operator: str, namespace: str
) -> None:
    gone = f"{namespace}-gone"
    system, network = Network(cluster, operator), Network(cluster, namespace)
    cluster.kubectl("create", "namespace", gone)
    try:
        install(cluster, f"watchNamespaces={{{namespace},{gone}}}")
        rights = [
            json.loads(cluster.kubectl("-n", gone, "get", kind, "minga", "-o", "json"))
            for kind in ("role", "rolebinding")
        ]
        cluster.kubectl("delete", "namespace", gone, timeout=120)
        pod = restarted(system)
        leading(system, pod)
        network.apply(PENDING)
        network.wait("Reconciled")
        metrics = ask(system, pod, "/metrics")[1]
        assert f'minga_operator_unwatched{{kind="P2PNetwork",watched_namespace="{gone}"}} 1.0' in metrics
        assert f'minga_operator_unwatched{{kind="P2PNetwork",watched_namespace="{namespace}"}} 0.0' in metrics
        assert system.kubectl("logs", pod).count(f"networks in {gone} cannot be watched") == 1

        # It comes back, with the same rights.
        metadata = {"name": gone, "labels": RESTRICTED}
        body = json.dumps({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
        cluster.kubectl("create", "-f", "-", input=body)
        for right in rights:
            right["metadata"] = {"name": "minga", "namespace": gone}
            cluster.kubectl("create", "-f", "-", input=json.dumps(right))
        again = Network(cluster, gone)
        again.apply(PENDING)
        again.wait("Reconciled", timeout=240)
        assert [item["metadata"]["name"] for item in system.objects("pods", OPERATOR)] == [pod]
        again.delete()
        network.delete()
    finally:
        cluster.kubectl("delete", "namespace", gone, "--ignore-not-found", "--wait=false")
        install(cluster)
