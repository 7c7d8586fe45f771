"""The test cluster is a real one: what the other end-to-end tests take for granted, tried by itself."""

from __future__ import annotations

import json
import os
import subprocess
import urllib.request

import pytest

from tests.cluster import Cluster, ClusterError
from tests.cluster.shell import wait_for
from tests.e2e.servers import POD_SECURITY, SECURITY, answers_in_pod, service, stateful_set

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

needs_own = pytest.mark.skipif(
    os.environ.get("MINGA_TEST_CLUSTER") == "existing", reason="about the cluster that the tests make"
)


@pytest.fixture(scope="module")
def base(cluster: Cluster) -> str:
    """The name of the image that has Python and nothing of ours."""
    return cluster.load_images(["base"])["base"]


@pytest.fixture
def servers(cluster: Cluster, namespace: str, base: str) -> str:
    """Two ready servers behind a headless service and one with a node port; returns the namespace."""
    items = [
        stateful_set(base, 2),
        service("web", clusterIP="None", publishNotReadyAddresses=True),
        service("entry", type="NodePort"),
    ]
    content = {"apiVersion": "v1", "kind": "List", "items": items}
    cluster.kubectl("-n", namespace, "apply", "-f", "-", input=json.dumps(content))
    cluster.kubectl("-n", namespace, "rollout", "status", "statefulset/web", "--timeout=90s", timeout=100)
    return namespace


def test_every_node_is_ready(cluster: Cluster) -> None:
    nodes = json.loads(cluster.kubectl("get", "nodes", "-o", "json"))["items"]
    conditions = [{c["type"]: c["status"] for c in node["status"]["conditions"]} for node in nodes]
    assert conditions
    assert all(each["Ready"] == "True" for each in conditions)


def test_a_pod_reaches_others_by_service_and_by_name(cluster: Cluster, servers: str) -> None:
    assert answers_in_pod(cluster, servers, "web-0", "http://web-1.web:8080", {"web-1"})
    full_name = f"http://web-0.web.{servers}.svc.cluster.local:8080"
    assert answers_in_pod(cluster, servers, "web-1", full_name, {"web-0"})
    # A dozen requests meet both. To reach itself through a service a pod needs the bridge's hairpin mode.
    assert answers_in_pod(cluster, servers, "web-0", "http://entry", {"web-0", "web-1"})


def test_a_name_outside_the_cluster_does_not_exist(cluster: Cluster, servers: str) -> None:
    program = (
        "import socket\ntry: socket.getaddrinfo('broker.example.org', 5672)\n"
        "except socket.gaierror as error: print(error.errno == socket.EAI_NONAME)"
    )
    assert cluster.kubectl("-n", servers, "exec", "web-0", "--", "python3", "-c", program).strip() == "True"


def test_logs_and_port_forward_work_from_this_machine(cluster: Cluster, servers: str) -> None:
    assert "serving" in cluster.kubectl("-n", servers, "logs", "web-0")
    command = ["kubectl", "-n", servers, "port-forward", "pod/web-1", ":8080", "--address=127.0.0.1"]
    environment = {**os.environ, **cluster.environment()}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as forward:
        try:
            assert forward.stdout is not None
            port = forward.stdout.readline().split("127.0.0.1:")[1].split()[0]
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10) as answer:
                assert answer.read() == b"web-1"
        finally:
            forward.kill()


@needs_own
def test_a_node_port_answers_this_machine(cluster: Cluster, servers: str) -> None:
    assert cluster.layout
    address = cluster.layout.node(1).address
    path = "--output=jsonpath={.spec.ports[0].nodePort}"
    port = cluster.kubectl("-n", servers, "get", "service/entry", path)

    def answer() -> bytes:
        try:
            with urllib.request.urlopen(f"http://{address}:{port}/", timeout=10) as response:
                return bytes(response.read())
        except OSError:
            return b""

    assert wait_for("the node port", answer, 20) in {b"web-0", b"web-1"}


def test_a_pod_that_is_not_restricted_is_refused(cluster: Cluster, namespace: str, base: str) -> None:
    container = {"name": "root", "image": base, "securityContext": {"privileged": True}}
    metadata = {"name": "root", "namespace": namespace}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": [container]}}
    with pytest.raises(ClusterError, match='violates PodSecurity "restricted'):
        cluster.kubectl("create", "-f", "-", input=json.dumps(pod))


def test_a_volume_is_writable_survives_its_pod_and_grows(cluster: Cluster, servers: str) -> None:
    write = ["python3", "-c", "open('/data/kept', 'w').write('kept')"]
    cluster.kubectl("-n", servers, "exec", "web-0", "--", *write)
    cluster.kubectl("-n", servers, "delete", "pod", "web-0", "--grace-period=1")
    cluster.kubectl("-n", servers, "wait", "pod/web-0", "--for=condition=Ready", "--timeout=60s", timeout=70)
    assert cluster.kubectl("-n", servers, "exec", "web-0", "--", "cat", "/data/kept") == "kept"

    growth = {"spec": {"resources": {"requests": {"storage": "2Gi"}}}}
    cluster.kubectl("-n", servers, "patch", "pvc/data-web-0", "-p", json.dumps(growth))
    grown = "--for=jsonpath={.status.capacity.storage}=2Gi"
    cluster.kubectl("-n", servers, "wait", "pvc/data-web-0", grown, "--timeout=30s")


def test_the_broker_image_runs_restricted(cluster: Cluster, namespace: str) -> None:
    image = cluster.load_images(["rabbitmq"])["rabbitmq"]
    folders = {
        "data": "/var/lib/rabbitmq",
        "conf": "/etc/rabbitmq",
        "log": "/var/log/rabbitmq",
        "tmp": "/tmp",
    }
    container = {
        "name": "broker",
        "image": image,
        "securityContext": SECURITY,
        "volumeMounts": [{"name": name, "mountPath": path} for name, path in folders.items()],
        "readinessProbe": {"tcpSocket": {"port": 5672}, "periodSeconds": 1},
    }
    spec = {
        "securityContext": {**POD_SECURITY, "runAsUser": 999, "fsGroup": 999},
        "containers": [container],
        "volumes": [{"name": name, "emptyDir": {}} for name in folders],
    }
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "broker"}, "spec": spec}
    cluster.kubectl("-n", namespace, "create", "-f", "-", input=json.dumps(pod))
    cluster.kubectl(
        "-n", namespace, "wait", "pod/broker", "--for=condition=Ready", "--timeout=90s", timeout=100
    )
    ping = ["rabbitmq-diagnostics", "--quiet", "ping"]
    assert "succeeded" in cluster.kubectl("-n", namespace, "exec", "broker", "--", *ping)


@needs_own
def test_a_volume_is_removed_with_its_claim(cluster: Cluster, servers: str) -> None:
    assert cluster.layout
    path = "--output=jsonpath={.spec.volumeName}"
    name = cluster.kubectl("-n", servers, "get", "pvc/data-web-1", path)
    folder = next(node.volumes / name for node in cluster.layout.nodes() if (node.volumes / name).exists())
    cluster.kubectl("-n", servers, "delete", "statefulset/web", "--timeout=60s", timeout=70)
    cluster.kubectl("-n", servers, "delete", "pvc/data-web-1", "--timeout=30s")
    wait_for("the end of the volume", lambda: not folder.exists(), 30)
    wait_for("the end of its object", lambda: name not in cluster.kubectl("get", "pv", "-o", "name"), 30)
