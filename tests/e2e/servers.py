"""Web servers in a cluster that need nothing of ours, to try the cluster itself."""

from __future__ import annotations

from typing import Any

from tests.cluster import Cluster
from tests.cluster.shell import wait_for

SERVER = """
import http.server, os
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = os.environ["HOSTNAME"].encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
print("serving", flush=True)
http.server.ThreadingHTTPServer(("", 8080), Handler).serve_forever()
"""
SECURITY = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}
POD_SECURITY = {
    "runAsNonRoot": True,
    "runAsUser": 1000,
    "fsGroup": 1000,
    "seccompProfile": {"type": "RuntimeDefault"},
}


def stateful_set(base: str, replicas: int) -> dict[str, Any]:
    """Servers that answer with their pod's name, each with a volume at /data."""
    container = {
        "name": "server",
        "image": base,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python3", "-c", SERVER],
        "securityContext": SECURITY,
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
        "readinessProbe": {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1},
    }
    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    pod = {
        "securityContext": POD_SECURITY,
        "terminationGracePeriodSeconds": 0,
        "automountServiceAccountToken": False,
        "containers": [container],
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": "web"},
        "spec": {
            "serviceName": "web",
            "replicas": replicas,
            "podManagementPolicy": "Parallel",
            "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": pod},
            "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": claim}],
        },
    }


def service(name: str, **spec: Any) -> dict[str, Any]:
    """A service in front of the servers."""
    ports = [{"port": 80, "targetPort": 8080}]
    full = {"selector": {"app": "web"}, "ports": ports, **spec}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": full}


def answers_in_pod(cluster: Cluster, namespace: str, pod: str, url: str, wanted: set[str]) -> bool:
    """Whether a dozen requests made inside a pod meet just these servers, within a minute.

    Names and addresses reach a node a moment after the pods are ready, and one server before the other.
    """
    request = f"urllib.request.urlopen({url!r}, timeout=5).read().decode()"
    program = f"import urllib.request\nfor _ in range(12): print({request})"
    command = ["-n", namespace, "exec", pod, "--", "python3", "-c", program]

    def met() -> bool:
        return set(cluster.kubectl(*command).split()) == wanted

    return wait_for(f"answers of {wanted} at {url}", met, 60)
