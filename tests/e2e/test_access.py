"""Tokens for REST in a cluster: made, mounted, bound, changed without a restart, and given by others."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest

from tests.cluster import Cluster
from tests.cluster.build import ensure_binaries
from tests.e2e.install import install
from tests.e2e.networks import Network, Rest
from tests.e2e.test_operator import PENDING
from tests.waiting import wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900), pytest.mark.usefixtures("operator")]

STORAGE = {"storage": {"ephemeral": True, "size": "1Gi"}}
KUBELET_SECONDS = 180
"""A mounted Secret is looked at once a minute, from a cache; then the node looks once a second."""


def status(rest: Rest, path: str, method: str = "GET") -> int:
    """HTTP's status of a request without a body."""
    try:
        rest.json(path, method)
    except HTTPError as error:
        return error.code
    return 200


def uids(network: Network) -> dict[str, tuple[str, int]]:
    """Who runs, and how often its container was started."""
    return {
        pod["metadata"]["name"]: (
            pod["metadata"]["uid"],
            sum(item["restartCount"] for item in pod["status"].get("containerStatuses", ())),
        )
        for pod in network.objects("pods")
    }


def test_managed_tokens(cluster: Cluster, namespace: str, tmp_path: Path) -> None:
    network = Network(cluster, namespace)
    network.apply({
        "seeds": STORAGE,
        "peers": STORAGE | {"replicas": 2},
        "broker": {"managed": STORAGE},
        "access": {"tokens": "Managed"},
    })
    network.wait(timeout=300)
    tokens, binding = network.secret("library-tokens"), network.secret("library-binding")
    assert (binding["read-token"], binding["write-token"]) == (tokens["read"], tokens["write"])
    assert len(set(tokens.values())) == 2
    (tmp_path / "x.bin").write_bytes(os.urandom(300_000))
    for pod in ("library-seed-0", "library-peer-1"):
        with network.rest(pod) as rest:
            assert status(rest, "/api/v1/files") == 401
            assert status(Rest(rest.port, tokens["read"]), "/api/v1/files") == 200
            assert status(Rest(rest.port, tokens["read"]), "/files/x.bin", "DELETE") == 403
    with network.rest("library-peer-1", tokens["write"]) as rest:
        assert rest.put("x.bin", tmp_path / "x.bin") == 201

    # What the operator itself asks of nodes needs a token, too.
    wait_for(lambda: network.get()["status"].get("files") == 1, "the operator's count of files", 90, every=1)
    network.patch({"peers": {"replicas": 1}})
    wait_for(lambda: network.pods("peer") == ["library-peer-0"], "peer-1 drained and gone", 180, every=1)
    network.wait(timeout=120)
    with network.rest("library-seed-0", tokens["read"]) as rest:
        assert rest.read("/files/x.bin") == (tmp_path / "x.bin").read_bytes()

    running = uids(network)
    network.kubectl("delete", "secret", "library-tokens")
    fresh = wait_for(lambda: changed(network, tokens), "new tokens", 60) or {}
    with network.rest("library-seed-0", fresh["read"]) as rest:
        wait_for(lambda: status(rest, "/api/v1/files") == 200, "the new token", KUBELET_SECONDS, every=1)
        assert status(Rest(rest.port, tokens["read"]), "/api/v1/files") == 401
    assert uids(network) == running
    assert network.secret("library-binding")["write-token"] == fresh["write"]

    # What a person sets stays; what is no token is made anew.
    chosen = base64.b64encode(b"# chosen\na-token-that-somebody-chose\n").decode()
    network.kubectl(
        "patch", "secret", "library-tokens", "-p", f'{{"data": {{"read": "{chosen}", "write": "eA=="}}}}'
    )
    wait_for(lambda: len(network.secret("library-tokens")["write"]) > 20, "a write token", 60)
    assert "a-token-that-somebody-chose" in network.secret("library-tokens")["read"]
    wait_for(
        lambda: network.secret("library-binding")["read-token"] == "a-token-that-somebody-chose",
        "the binding",
        60,
    )
    log = cluster.kubectl("-n", "minga-system", "logs", "deploy/minga", "--tail=-1")
    nodes = network.kubectl("logs", "library-seed-0", "--tail=-1")
    for token in (*tokens.values(), *fresh.values()):
        assert token not in log
        assert token not in nodes
    network.delete()


def changed(network: Network, before: dict[str, str]) -> dict[str, str] | None:
    """The tokens, once they are others."""
    if not network.objects("secrets", "app.kubernetes.io/instance=library"):
        return None
    names = {item["metadata"]["name"] for item in network.objects("secrets")}
    found = network.secret("library-tokens") if "library-tokens" in names else before
    return found if not set(found.values()) & set(before.values()) else None


@pytest.mark.alone
def test_helm_test_and_the_command_line_find_the_token(
    cluster: Cluster, operator: str, tmp_path: Path
) -> None:
    values = {
        "create": "true",
        "spec.access.tokens": "Managed",
        "spec.peers.replicas": "0",
        "spec.seeds.storage.ephemeral": "true",
        "spec.broker.managed.storage.ephemeral": "true",
    }
    network = Network(cluster, operator)
    try:
        install(cluster, *(f"network.{key}={value}" for key, value in values.items()))
        network.wait(timeout=300)
        cluster.helm("test", "minga", "-n", operator, timeout=180)
        rows = json.loads(minga(cluster, tmp_path, "--kube", "library", "-n", operator, "--json", "ls"))
        assert [row["name"][:10] for row in rows] == ["helm-test-"]
        (tmp_path / "mine.txt").write_text("mine")
        minga(cluster, tmp_path, "--kube", "library", "-n", operator, "put", "mine.txt")
        kube = ("--kube", "library", "-n", operator)
        made = json.loads(minga(cluster, tmp_path, *kube, "--json", "token", "create", "--prefix", "mine"))
        limited = (*kube, "--token", made["token"], "--json", "ls")
        known = lambda: run_minga(cluster, tmp_path, *limited).returncode == 0  # noqa: E731
        wait_for(known, "the node knows the token", KUBELET_SECONDS, every=1)
        assert [row["name"] for row in json.loads(minga(cluster, tmp_path, *limited))] == ["mine.txt"]
        assert made["token"] not in str(network.secret("library-tokens"))
        minga(cluster, tmp_path, *kube, "token", "revoke", made["id"])
        assert json.loads(minga(cluster, tmp_path, *kube, "--json", "token", "list")) == {"tokens": []}
        minga(cluster, tmp_path, *kube, "rm", "mine.txt")
        one = ("--kube", "library/library-seed-0", "-n", operator)
        assert json.loads(minga(cluster, tmp_path, *one, "--json", "status"))["id"] == "library-seed-0"
        nobody = run_minga(cluster, tmp_path, "ls", "--kube", "library/nobody", "-n", operator)
        assert nobody.returncode == 6
        assert nobody.stderr.startswith(b"minga: kubectl cannot reach the pod nobody: ")
        assert len(nobody.stderr.splitlines()) == 1
    finally:
        install(cluster)
    network.kubectl("delete", "p2pn", "--all", "--wait=true")


def minga(cluster: Cluster, folder: Path, *arguments: str) -> str:
    """Output of the command."""
    ended = run_minga(cluster, folder, *arguments)
    assert ended.returncode == 0, ended.stderr.decode()
    return ended.stdout.decode()


def run_minga(cluster: Cluster, folder: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    """The command, with kubectl on its path and none of the user's settings."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("MINGA_", "XDG_"))}
    kubectl = ensure_binaries().kubectl.parent
    path = {"PATH": f"{kubectl}:{kept['PATH']}", "HOME": str(folder)} | cluster.environment()
    command = [sys.executable, "-m", "minga_node.cli", *arguments]
    return subprocess.run(command, cwd=folder, env=kept | path, capture_output=True, check=False, timeout=120)


def test_tokens_of_somebody_else(cluster: Cluster, namespace: str) -> None:
    network = Network(cluster, namespace)
    spec: dict[str, Any] = PENDING | {"access": {"tokens": "Secret", "secretName": "theirs"}}
    network.apply(spec)
    message = network.wait("Reconciled", "False", "SecretMissing")
    assert "Secret theirs is needed for spec.access, and it does not exist" in message
    assert not network.objects("statefulsets"), "a pod that could not start was made"
    network.kubectl("create", "secret", "generic", "theirs", "--from-literal=write=short")
    wait_for(lambda: "its key write" in network.wait("Reconciled", "False"), "the key's name", 90, every=1)
    network.kubectl("delete", "secret", "theirs")
    token = "a-token-of-somebody-else"
    network.kubectl("create", "secret", "generic", "theirs", f"--from-literal=write={token}")
    network.wait("Reconciled", timeout=120)
    binding = network.secret("library-binding")
    assert binding["write-token"] == token
    assert "read-token" not in binding
    seeds = network.object("statefulset", "library-seed")["spec"]["template"]["spec"]
    assert {"name": "tokens", "secret": {"secretName": "theirs", "defaultMode": 0o440}} in seeds["volumes"]
    # A managed one appears beside it and stays, when it is switched to and off again.
    network.patch({"access": {"tokens": "Managed", "secretName": None}})
    wait_for(lambda: "read-token" in network.secret("library-binding"), "managed tokens", 60)
    managed = network.secret("library-tokens")
    network.patch({"access": {"tokens": "Disabled"}})
    wait_for(lambda: "write-token" not in network.secret("library-binding"), "no tokens", 60)
    assert network.secret("library-tokens") == managed
    assert network.secret("theirs") == {"write": token}
    network.delete()
