"""Reaching a network in Kubernetes: a port forwarded by kubectl, for as long as a command runs."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from minga_node.cli.client import ClientError

FORWARDING = re.compile(r"Forwarding from 127\.0\.0\.1:(\d+)")


@contextmanager
def forwarded(network: str, namespace: str | None) -> Iterator[str]:
    """REST address of a P2PNetwork of the current kubeconfig.

    Raises:
        ClientError: kubectl is missing, or says no.
    """
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        raise ClientError("--kube needs kubectl on the PATH")
    command = [kubectl, "port-forward", f"service/{network}", ":rest", "--address", "127.0.0.1"]
    if namespace is not None:
        command += ["--namespace", namespace]
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
            reason = " ".join(process.stderr.read().split()) or "it gave no reason"
            raise ClientError(f"kubectl cannot reach the network {network}: {reason}", 6)
        yield f"http://127.0.0.1:{match[1]}"
    finally:
        process.terminate()
        process.wait(10)
        process.stdout.close()
        process.stderr.close()
