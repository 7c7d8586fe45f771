"""The test cluster is a real one: what the other end-to-end tests take for granted, tried by itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster import Cluster, ClusterError
from tests.cluster.layout import REPOSITORY, Layout
from tests.cluster.processes import Process
from tests.cluster.shell import wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

needs_own = pytest.mark.skipif(
    os.environ.get("MINGA_TEST_CLUSTER") == "existing", reason="about the cluster that the tests make"
)

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


@pytest.fixture(scope="module")
def base(cluster: Cluster) -> str:
    """The name of the image that has Python and nothing of ours."""
    return cluster.load_images(["base"])["base"]


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


@pytest.fixture
def other(request: pytest.FixtureRequest) -> Iterator[Layout]:
    """The name of a second cluster, which is gone after the test."""
    layout = Layout("selftest")
    yield layout
    command(layout, "down").check_returncode()


def command(layout: Layout, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the command line of the test cluster."""
    argv = [sys.executable, "-m", "tests.cluster", "--name", layout.name, *words]
    return subprocess.run(argv, cwd=REPOSITORY, capture_output=True, text=True, timeout=300, check=False)


def namespaces(processes: Iterable[Path]) -> set[str]:
    """The network, mount and process id namespaces that those processes (folders of /proc) are in."""
    found = set()
    for process in processes:
        # A process that made a process id namespace is not in it itself: its children are.
        for kind in ("net", "mnt", "pid", "pid_for_children"):
            try:
                found.add(str((process / "ns" / kind).readlink()))
            except OSError:
                continue
    return found


def recorded(layout: Layout) -> list[Path]:
    """The processes of a cluster."""
    records = [Process(record, layout.logs) for record in layout.processes.iterdir()]
    return [Path("/proc", str(pid)) for record in records if (pid := record.pid()) is not None]


def traces(layout: Layout) -> list[str]:
    """What is still here of a cluster: processes that name its folder, a link, control groups, mounts."""
    found = [str(layout.folder)] if layout.folder.exists() else []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if str(layout.folder) in (process / "cmdline").read_text():
                found.append(f"process {process.name}")
        except OSError:
            continue
    links = subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True).stdout
    found += [line for line in links.splitlines() if f" {layout.host_link}@" in line]
    found += [str(group) for group in Path("/sys/fs/cgroup").glob(f"**/{layout.cgroup}")]
    mounts = Path("/proc/self/mounts").read_text().splitlines()
    return found + [line for line in mounts if str(layout.folder) in line]


@needs_own
def test_down_leaves_nothing_behind(cluster: Cluster, other: Layout) -> None:
    up = command(other, "up")
    assert up.returncode == 0, up.stderr
    assert traces(other)
    # The rest of the machine is not ours, and makes and leaves namespaces meanwhile.
    made = namespaces(recorded(other)) - namespaces([Path("/proc/self")])
    assert len(made) >= 6  # network, mounts and process ids of the control plane and of one node
    assert "is up" in command(other, "up").stdout
    command(other, "down").check_returncode()
    assert traces(other) == []
    assert not made & namespaces(Path("/proc").glob("[0-9]*"))


@needs_own
@pytest.mark.slow
def test_an_up_that_was_killed_is_cleaned_by_the_next(cluster: Cluster, other: Layout) -> None:
    argv = [sys.executable, "-m", "tests.cluster", "--name", other.name, "up"]
    with subprocess.Popen(argv, cwd=REPOSITORY, stdout=subprocess.DEVNULL) as starting:
        wait_for("a half-started cluster", (other.processes / "node1-containerd").exists, 60, 0.01)
        starting.kill()
    assert command(other, "status").returncode == 1
    killed = other.folder.stat().st_ctime
    assert "is up" in command(other, "up").stdout
    assert other.folder.stat().st_ctime > killed
    command(other, "down").check_returncode()
    assert traces(other) == []


@needs_own
@pytest.mark.slow
def test_a_second_node_carries_pods_and_can_be_cut_off(other: Layout) -> None:
    cluster = Cluster.ensure(nodes=2, name=other.name)
    assert cluster.nodes() == ["node1", "node2"]
    base = cluster.load_images(["base"])["base"]
    servers = stateful_set(base, 2)
    spread = {"maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "DoNotSchedule"}
    selector = servers["spec"]["selector"]
    servers["spec"]["template"]["spec"]["topologySpreadConstraints"] = [{**spread, "labelSelector": selector}]
    items = [servers, service("web", clusterIP="None"), service("entry")]
    cluster.kubectl(
        "apply", "-f", "-", input=json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
    )
    cluster.kubectl("rollout", "status", "statefulset/web", "--timeout=90s", timeout=100)

    assert answers_in_pod(cluster, "default", "web-0", "http://web-1.web:8080", {"web-1"})
    assert answers_in_pod(cluster, "default", "web-1", "http://entry", {"web-0", "web-1"})

    cluster.cut("node2")
    cut = time.monotonic()
    cluster.kubectl("wait", "node/node2", "--for=condition=Ready=Unknown", "--timeout=90s", timeout=100)
    assert time.monotonic() - cut < 60
    cluster.kubectl("wait", "node/node1", "--for=condition=Ready", "--timeout=5s")
    cluster.heal("node2")
    cluster.kubectl("wait", "node/node2", "--for=condition=Ready", "--timeout=60s", timeout=70)
