"""A P2PNetwork in a test: made, waited for, talked to, gone."""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from tests.cluster import Cluster, ClusterError
from tests.waiting import wait_for

IMAGE = {"repository": "minga-node", "tag": "test"}
CHILDREN = (
    "statefulsets,daemonsets,services,configmaps,secrets,pods,poddisruptionbudgets,networkpolicies,"
    "ingresses,persistentvolumeclaims"
)


@dataclass(frozen=True)
class Network:
    """One network of a test."""

    cluster: Cluster
    namespace: str
    name: str = "library"

    def kubectl(self, *args: str, input: str | None = None, timeout: float = 120) -> str:  # noqa: A002
        return self.cluster.kubectl("-n", self.namespace, *args, input=input, timeout=timeout)

    def apply(self, spec: dict[str, Any]) -> None:
        """As `kubectl apply` does it."""
        body = {
            "apiVersion": "minga.dev/v1alpha1",
            "kind": "P2PNetwork",
            "metadata": {"name": self.name},
            "spec": spec,
        }
        self.kubectl("apply", "-f", "-", input=json.dumps(body))

    def patch(self, spec: dict[str, Any]) -> None:
        """A merge patch of the spec."""
        self.kubectl("patch", "p2pn", self.name, "--type=merge", "-p", json.dumps({"spec": spec}))

    def get(self) -> dict[str, Any]:
        return self.object("p2pnetwork", self.name)

    def object(self, kind: str, name: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.kubectl("get", kind, name, "-o", "json"))
        return found

    def objects(self, kinds: str, selector: str | None = None) -> list[dict[str, Any]]:
        """Objects of this network, or those that ``selector`` says."""
        selector = f"app.kubernetes.io/instance={self.name}" if selector is None else selector
        return list(json.loads(self.kubectl("get", kinds, "-l", selector, "-o", "json"))["items"])

    def condition(self, kind: str) -> dict[str, Any]:
        """One condition, about the newest spec; empty while there is none."""
        found = self.get()
        for item in found.get("status", {}).get("conditions", ()):
            if item["type"] == kind and item["observedGeneration"] == found["metadata"]["generation"]:
                return dict(item)
        return {}

    def wait(self, kind: str = "Ready", state: str = "True", reason: str = "", timeout: float = 180) -> str:
        """Waits for a condition; returns its message."""

        def so() -> bool:
            found = self.condition(kind)
            return found.get("status") == state and reason in {"", found.get("reason")}

        try:
            wait_for(so, f"{self.name}: {kind}={state} {reason}", timeout, every=0.5)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.story()}") from None
        return str(self.condition(kind)["message"])

    def story(self) -> str:
        """What a person would look at when something is wrong."""
        parts = [
            self.kubectl("get", "p2pn", "-o", "wide"),
            json.dumps(self.get().get("status", {}).get("conditions", []), indent=1),
            self.kubectl("get", "pods", "-o", "wide"),
            self.kubectl("get", "events", "--sort-by=.lastTimestamp")[-3000:],
            self.cluster.kubectl("-n", "minga-system", "logs", "deploy/minga", "--tail=40"),
        ]
        for pod in self.objects("pods"):
            name = pod["metadata"]["name"]
            try:
                parts += [f"--- {name}", self.kubectl("logs", name, "--tail=15", "--all-containers")]
            except ClusterError as error:
                parts.append(str(error))
        return "\n".join(parts)

    def pods(self, component: str) -> list[str]:
        """Names of the pods that are not on their way out."""
        selector = f"app.kubernetes.io/instance={self.name},app.kubernetes.io/component={component}"
        items = self.objects("pods", selector)
        return sorted(pod["metadata"]["name"] for pod in items if "deletionTimestamp" not in pod["metadata"])

    def looked_at(self) -> None:
        """Waits until the operator of now has reconciled it: it repairs what is changed."""
        patch = '{"spec":{"selector":{"minga.dev/role":"x"}}}'
        self.kubectl("patch", "service", self.name, "--type=merge", "-p", patch)
        wait_for(
            lambda: self.object("service", self.name)["spec"]["selector"]["minga.dev/role"] == "node",
            "a repair",
            60,
        )

    def delete(self, timeout: float = 120) -> None:
        """Deletes it and waits until nothing of it is left."""
        self.kubectl("delete", "p2pn", self.name, "--wait=true")
        wait_for(lambda: not self.objects(CHILDREN), f"nothing left of {self.name}", timeout, every=1)

    @contextmanager
    def forward(self, pod: str, port: int) -> Iterator[int]:
        """A free local port that leads to a pod's."""
        command = ["kubectl", "-n", self.namespace, "port-forward", f"pod/{pod}", f":{port}"]
        with subprocess.Popen(
            command,
            env=os.environ | self.cluster.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            try:
                assert process.stdout is not None
                line = process.stdout.readline()
                found = re.search(r"127\.0\.0\.1:(\d+)", line)
                assert found, f"port-forward of {pod}: {line}"
                # It says a line a connection; nobody reading would make it stop.
                threading.Thread(target=process.stdout.read, daemon=True).start()
                yield int(found[1])
            finally:
                process.terminate()
                process.wait(10)

    @contextmanager
    def rest(self, pod: str, token: str = "") -> Iterator[Rest]:
        """REST of one pod, forwarded to a free local port."""
        with self.forward(pod, 5000) as port:
            yield Rest(port, token)

    def secret(self, name: str) -> dict[str, str]:
        """The values of a Secret."""
        data = self.object("secret", name)["data"]
        return {key: base64.b64decode(value).decode() for key, value in data.items()}


@dataclass(frozen=True)
class Rest:
    """REST of one node at a local port."""

    port: int
    token: str = ""

    @property
    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}

    def json(self, path: str, method: str = "GET", body: Any = None, timeout: float = 60) -> Any:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}", method=method, headers=self._headers
        )
        if body is not None:
            request.data = json.dumps(body).encode()
            request.add_header("Content-Type", "application/json")
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            return json.loads(answer.read() or b"null")

    def read(self, path: str, timeout: float = 120) -> bytes:
        """The body of a successful GET."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", headers=self._headers)
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            return bytes(answer.read())

    def put(self, name: str, file: Path) -> int:
        """Uploads a file; returns HTTP's status."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=300)
        with file.open("rb") as content:
            headers = {"Content-Length": str(file.stat().st_size)} | self._headers
            # A refusal may come before all of the body has been sent.
            with suppress(BrokenPipeError, ConnectionResetError):
                connection.request("PUT", f"/files/{name}", body=content, headers=headers)
            answer = connection.getresponse()
            answer.read()
        connection.close()
        return answer.status

    def files(self, query: str = "") -> list[dict[str, Any]]:
        """Rows of the network's index."""
        return list(self.json(f"/api/v1/files?scope=network&q={query}")["files"])


def sha256_in(network: Network, pod: str, path: str) -> str:
    """The digest of a file as the pod's own disk has it."""
    script = (
        "import hashlib,sys;h=hashlib.sha256();f=open(sys.argv[1],'rb')\n"
        "while b:=f.read(1<<20):h.update(b)\n"
        "print(h.hexdigest())"
    )
    return network.kubectl("exec", pod, "-c", "node", "--", "python3", "-c", script, path).strip()
