"""A HorizontalPodAutoscaler owns the number of peers through the scale subresource, and nobody fights it.

The controller is Kubernetes' own. What it reads comes from a metrics API that the test serves: a pod behind
an APIService, as an adapter for a message broker or Prometheus would be.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster import Cluster
from tests.e2e.networks import Network
from tests.waiting import wait_for

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.slow,
    pytest.mark.alone,
    pytest.mark.timeout(900),
    pytest.mark.usefixtures("operator"),
]

EPHEMERAL = {"storage": {"ephemeral": True, "size": "1Gi"}}
SERVER = """
import datetime, http.server, json, pathlib, ssl
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        api = "external.metrics.k8s.io/v1beta1"
        path = self.path.partition("?")[0].strip("/")
        resource = {"name": "demand", "singularName": "", "namespaced": True, "verbs": ["get"],
                    "kind": "ExternalMetricValueList"}
        if path == "apis/" + api:
            answer = {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": api}
            answer["resources"] = [resource]
        elif path.endswith("/demand"):
            now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
            value = pathlib.Path("/tmp/demand").read_text().strip()
            item = {"metricName": "demand", "metricLabels": {}, "timestamp": now, "value": value}
            answer = {"kind": "ExternalMetricValueList", "apiVersion": api, "metadata": {}, "items": [item]}
        else:
            answer = None
        body = json.dumps(answer).encode()
        self.send_response(404 if answer is None else 200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
pathlib.Path("/tmp/demand").write_text("1")
server = http.server.ThreadingHTTPServer(("", 8443), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("/certificate/tls.crt", "/certificate/tls.key")
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
"""


def adapter(image: str) -> list[dict[str, Any]]:
    """The pod that serves the metric, and the Service to it."""
    container = {
        "name": "adapter",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python3", "-c", SERVER],
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        "volumeMounts": [{"name": "certificate", "mountPath": "/certificate"}],
        "readinessProbe": {"tcpSocket": {"port": 8443}, "periodSeconds": 1},
    }
    pod = {
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 1000,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "terminationGracePeriodSeconds": 0,
        "containers": [container],
        "volumes": [{"name": "certificate", "secret": {"secretName": "adapter"}}],
    }
    service = {"selector": {"app": "adapter"}, "ports": [{"port": 443, "targetPort": 8443}]}
    return [
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "adapter", "labels": {"app": "adapter"}},
            "spec": pod,
        },
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "adapter"}, "spec": service},
    ]


@pytest.fixture
def network(cluster: Cluster, namespace: str, tmp_path: Path) -> Iterator[Network]:
    """A network of one peer, and a metric called demand."""
    image = cluster.load_images(["base"])["base"]
    found = Network(cluster, namespace)
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    files = ["-keyout", str(tmp_path / "key"), "-out", str(tmp_path / "crt")]
    command = ["openssl", "req", "-x509", *curve, "-subj", "/CN=adapter", *files]
    subprocess.run(command, check=True, capture_output=True)
    found.kubectl(
        "create", "secret", "tls", "adapter", f"--cert={tmp_path / 'crt'}", f"--key={tmp_path / 'key'}"
    )
    items = {"apiVersion": "v1", "kind": "List", "items": adapter(image)}
    found.kubectl("apply", "-f", "-", input=json.dumps(items))
    found.apply({
        "seeds": EPHEMERAL,
        "peers": {**EPHEMERAL, "replicas": 1},
        "broker": {"managed": EPHEMERAL},
    })
    found.kubectl("wait", "pod/adapter", "--for=condition=Ready", "--timeout=90s", timeout=100)
    service = {
        "apiVersion": "apiregistration.k8s.io/v1",
        "kind": "APIService",
        "metadata": {"name": "v1beta1.external.metrics.k8s.io"},
        "spec": {
            "group": "external.metrics.k8s.io",
            "version": "v1beta1",
            "service": {"name": "adapter", "namespace": namespace},
            "insecureSkipTLSVerify": True,
            "groupPriorityMinimum": 100,
            "versionPriority": 100,
        },
    }
    body = json.dumps(service)
    cluster.kubectl("apply", "-f", "-", input=body)
    try:
        cluster.kubectl("wait", "apiservice/v1beta1.external.metrics.k8s.io", "--for=condition=Available")
        found.wait(timeout=240)
        yield found
    finally:
        # Before its pod: a group that does not answer keeps every namespace from being deleted.
        cluster.kubectl("delete", "-f", "-", input=body)
        found.kubectl("delete", "p2pn", "--all", "--wait=false")


def demand(network: Network, value: int) -> None:
    network.kubectl("exec", "adapter", "--", "sh", "-c", f"echo {value} > /tmp/demand")


def replicas(network: Network) -> int:
    return int(network.get()["spec"]["peers"]["replicas"])


def test_an_autoscaler_owns_the_number_of_peers(network: Network) -> None:
    metric = {
        "type": "External",
        "external": {
            "metric": {"name": "demand"},
            "target": {"type": "AverageValue", "averageValue": "1"},
        },
    }
    scaler = {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "library"},
        "spec": {
            "scaleTargetRef": {"apiVersion": "minga.dev/v1alpha1", "kind": "P2PNetwork", "name": "library"},
            "minReplicas": 1,
            "maxReplicas": 4,
            "metrics": [metric],
            "behavior": {"scaleDown": {"stabilizationWindowSeconds": 0}},
        },
    }
    network.kubectl("apply", "-f", "-", input=json.dumps(scaler))
    demand(network, 3)
    wait_for(lambda: replicas(network) == 3, "three peers asked for by the autoscaler", 120, every=1)
    network.wait(timeout=240)
    assert len(network.pods("peer")) == 3
    # Neither a reconcile that changes something nor one that repairs something takes the number back.
    network.patch({"labels": {"touched": "yes"}})
    network.wait("PeersReady", timeout=240)
    network.kubectl("scale", "statefulset/library-peer", "--replicas=1")
    wait_for(lambda: len(network.pods("peer")) == 3, "the peers that the autoscaler asked for", 60, every=0.5)
    network.wait(timeout=240)
    assert replicas(network) == 3
    owners = {
        entry.get("subresource")
        for entry in json.loads(
            network.kubectl("get", "p2pn", "library", "-o", "json", "--show-managed-fields")
        )["metadata"]["managedFields"]
        if "f:replicas" in json.dumps(entry["fieldsV1"].get("f:spec", {}).get("f:peers", {}))
    }
    assert owners == {"scale"}
    demand(network, 1)
    wait_for(lambda: replicas(network) == 1, "one peer asked for by the autoscaler", 120, every=1)
    wait_for(lambda: network.pods("peer") == ["library-peer-0"], "one peer, the others drained", 120, every=1)
    network.wait(timeout=120)
