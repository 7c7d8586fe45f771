"""A second cluster beside the first: made, cut in two, killed half way, and gone without a trace."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from tests.cluster import Cluster
from tests.cluster.layout import REPOSITORY, Layout
from tests.cluster.processes import Process, Stat
from tests.cluster.shell import wait_for
from tests.e2e.servers import answers_in_pod, service, stateful_set

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(900),
    pytest.mark.skipif(
        os.environ.get("MINGA_TEST_CLUSTER") == "existing", reason="about clusters that the tests make"
    ),
]


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


def ticks() -> int:
    """Now, in the kernel's ticks since it booted."""
    return int(time.clock_gettime(time.CLOCK_BOOTTIME) * os.sysconf("SC_CLK_TCK"))


def begun(process: Path) -> float:
    """When a process (a folder of /proc) was started, in ticks; never if it is gone."""
    try:
        return Stat.parse((process / "stat").read_text()).started
    except OSError:
        return math.inf


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


def test_down_leaves_nothing_behind(cluster: Cluster, other: Layout) -> None:
    up = command(other, "up")
    assert up.returncode == 0, up.stderr
    assert traces(other)
    # The rest of the machine is not ours, and makes and leaves namespaces meanwhile.
    made = namespaces(recorded(other)) - namespaces([Path("/proc/self")])
    assert len(made) >= 6  # network, mounts and process ids of the control plane and of one node
    assert "is up" in command(other, "up").stdout
    end = ticks()
    command(other, "down").check_returncode()
    assert traces(other) == []
    # The kernel gives a number that is free again to the next namespace, such as that of another test's pod.
    left = [process for process in Path("/proc").glob("[0-9]*") if begun(process) <= end]
    assert not made & namespaces(left)


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
