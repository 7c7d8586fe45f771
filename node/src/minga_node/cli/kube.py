"""Reaching a network in Kubernetes: a port forwarded by kubectl while a command runs, and its token."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager

from minga_node.cli.client import ClientError
from minga_node.cli.target import Target

FORWARDING = re.compile(r"Forwarding from 127\.0\.0\.1:(\d+)")


@contextmanager
def forwarded(network: str, namespace: str | None, token: str = "") -> Iterator[Target]:
    """REST of a P2PNetwork of the current kubeconfig; without a token, with that of its binding.

    ``network`` may name one of its pods too: ``library/library-0``.

    Raises:
        ClientError: kubectl is missing, or says no.
    """
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        raise ClientError("--kube needs kubectl on the PATH")
    where = ["--namespace", namespace] if namespace is not None else []
    network, _, pod = network.partition("/")
    to = f"pod/{pod}" if pod else f"service/{network}"
    command = [kubectl, "port-forward", to, ":rest", "--address", "127.0.0.1", *where]
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        # One line, or the end of the output when kubectl gave up.
        match = FORWARDING.match(process.stdout.readline())
        if match is None:
            process.wait(10)
            what = f"the pod {pod}" if pod else f"the network {network}"
            raise ClientError(f"kubectl cannot reach {what}: {last_line(process.stderr.read())}", 6)
        token, problem = (token, "") if token else _bound(kubectl, network, where)
        yield Target(f"http://127.0.0.1:{match[1]}", token, problem)
    finally:
        process.terminate()
        process.wait(10)
        process.stdout.close()
        process.stderr.close()


def _bound(kubectl: str, network: str, where: list[str]) -> tuple[str, str]:
    """The strongest token of the network's binding, or why there is none."""
    name = f"{network}-binding"
    command = [kubectl, "get", "secret", name, "--output", "json", *where]
    found = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if found.returncode != 0:
        return "", f"kubectl cannot read it from the Secret {name}: {last_line(found.stderr)}"
    data = json.loads(found.stdout).get("data") or {}
    encoded = data.get("write-token") or data.get("read-token") or ""
    return b64decode(encoded).decode(), f"the Secret {name} has none"


def last_line(said: str) -> str:
    """What kubectl says in the end: what it says before repeats it, once for each try."""
    lines = [" ".join(line.split()) for line in said.splitlines() if line.strip()]
    return lines[-1] if lines else "it gave no reason"
