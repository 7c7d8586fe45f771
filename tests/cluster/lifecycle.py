"""Bringing a cluster up and taking it down, whatever a run before left behind."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from . import images, network, oci
from .api import Client, Object, Refused
from .build import Binaries, cache_lock, ensure_binaries
from .cgroups import remove_cgroup
from .control_plane import ControlPlane
from .debs import ensure_debs
from .dns import dns_service
from .layout import MOST_NODES, REPOSITORY, Layout, Node, cache_folder
from .processes import Process, Sandbox, wait_empty
from .shell import ClusterError, wait_for
from .storage import storage_classes
from .worker import PAUSE_IMAGE, Worker

_NODE_SECONDS = 120


@dataclass(frozen=True)
class Lifecycle:
    """What can be done to one cluster as a whole."""

    layout: Layout

    def up(self, nodes: int) -> None:
        """Make the cluster have at least that many nodes, all Ready. Nothing happens when it has."""
        if not 1 <= nodes <= MOST_NODES:
            raise ClusterError(f"a test cluster has 1 to {MOST_NODES} nodes, not {nodes}")
        _need_root()
        with cache_lock(f"cluster-{self.layout.name}"):
            ensure_debs(cache_folder() / "logs" / "apt.log")
            binaries = ensure_binaries()
            if not self.is_up():
                self._remove()
                try:
                    self._start(binaries)
                except BaseException:
                    self._stop()  # the folder stays: its logs say why
                    raise
            missing = range(len(self.layout.nodes()) + 1, nodes + 1)
            if missing:
                self._add_nodes(binaries, missing)

    def down(self) -> None:
        """Remove every process, link, control group and file that `up` made, however that ended."""
        _need_root()
        with cache_lock(f"cluster-{self.layout.name}"):
            self._remove()

    def is_up(self) -> bool:
        """Whether a run of `up` came to its end and all of its processes still run."""
        nodes_complete = all(node.complete.exists() for node in self.layout.nodes())
        return self.layout.complete.exists() and nodes_complete and not self.ended()

    def ended(self) -> list[str]:
        """The names of recorded processes that do not run."""
        return [process.name for process in self._processes() if process.pid() is None]

    def sandbox(self, name: str) -> Sandbox:
        """The sandbox of a node, or `control`."""
        if name == "control":
            return ControlPlane(self.layout).sandbox
        return Worker(self.layout, self._node(name)).sandbox

    def send_images(self, wanted: dict[str, oci.Image]) -> None:
        """Give every node the images under the names that pods use; what a node has costs nothing."""
        workers = [Worker(self.layout, node) for node in self.layout.nodes()]
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda worker: _send(worker, wanted), workers))

    def cut(self, name: str) -> None:
        """Pull a node's network cable."""
        network.cut(self.sandbox("control"), self._node(name))

    def heal(self, name: str) -> None:
        """Plug it in again."""
        network.heal(self.sandbox("control"), self._node(name))

    def _node(self, name: str) -> Node:
        for node in self.layout.nodes():
            if node.name == name:
                return node
        raise ClusterError(
            f"{name}: no such node; there are {', '.join(n.name for n in self.layout.nodes())}"
        )

    def _start(self, binaries: Binaries) -> None:
        layout = self.layout
        layout.folder.mkdir(parents=True)
        control = ControlPlane(layout)
        control.start(binaries)
        client = Client(layout.kubeconfig)
        _create(client, "/api/v1/namespaces/kube-system/services", dns_service(layout)[:1])
        _create(
            client, "/apis/discovery.k8s.io/v1/namespaces/kube-system/endpointslices", dns_service(layout)[1:]
        )
        _create(client, "/apis/storage.k8s.io/v1/storageclasses", storage_classes())
        program = [sys.executable, "-m", "tests.cluster.storage", layout.name]
        control.process("storage").start(["env", f"PYTHONPATH={REPOSITORY}", *program])
        self._add_nodes(binaries, range(1, 2))
        wait_for("the default service account", lambda: _exists(client, "serviceaccounts/default"), 60)
        layout.complete.touch()

    def _add_nodes(self, binaries: Binaries, indices: Sequence[int]) -> None:
        layout, control = self.layout, ControlPlane(self.layout)
        pause = images.pause_image(binaries)
        workers = []
        for index in indices:
            others = {node: Worker(layout, node).sandbox for node in layout.nodes()}
            worker = Worker(layout, layout.node(index))
            worker.prepare(binaries)
            network.connect(layout, control.sandbox, worker.node, worker.sandbox, others)
            worker.start_containerd()
            _send(worker, {PAUSE_IMAGE: pause})
            worker.start_kubelet(binaries, control.authority)
            workers.append(worker)
        client = Client(layout.kubeconfig)
        for worker in workers:
            wait_for(f"{worker.node.name} Ready", partial(_ready, client, worker), _NODE_SECONDS)
            worker.node.complete.touch()

    def _processes(self) -> list[Process]:
        if not self.layout.processes.exists():
            return []
        records = sorted(record for record in self.layout.processes.iterdir() if record.suffix != ".new")
        return [Process(record, self.layout.logs / f"{record.name}.log") for record in records]

    def _stop(self) -> None:
        holders = [
            each for each in self._processes() if each.name == "control" or each.name.endswith("-holder")
        ]
        # All are killed before any is waited for: each takes the kernel some two seconds.
        for space in [Sandbox(holder, holder.name).kill() for holder in holders]:
            if space:
                wait_empty(space)
        for process in self._processes():
            process.kill()
        network.remove_host_link(self.layout)
        remove_cgroup(self.layout.cgroup)

    def _remove(self) -> None:
        self._stop()
        shutil.rmtree(self.layout.folder, ignore_errors=True)
        if self.layout.folder.exists():
            raise ClusterError(f"{self.layout.folder} could not be removed")


def _need_root() -> None:
    if os.geteuid() != 0 or sys.platform != "linux":
        raise ClusterError(
            "the test cluster needs root on Linux: it makes network namespaces and control groups"
        )


def _create(client: Client, path: str, objects: Sequence[Object]) -> None:
    for each in objects:
        client.create(path, each)


def _exists(client: Client, name: str) -> bool:
    try:
        client.get(f"/api/v1/namespaces/default/{name}")
    except Refused:
        return False
    return True


def _ready(client: Client, worker: Worker) -> bool:
    worker.check()
    try:
        conditions = client.get(f"/api/v1/nodes/{worker.node.name}")["status"].get("conditions", [])
    except (Refused, OSError):
        return False
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def _send(worker: Worker, wanted: dict[str, oci.Image]) -> None:
    rows = [line.split() for line in worker.ctr("images", "list").splitlines()[1:]]
    present = {row[0]: row[2] for row in rows if len(row) > 2}
    lacking = {name: image for name, image in wanted.items() if present.get(name) != image.digest}
    if lacking:
        known = set(worker.ctr("content", "list", "--quiet").split())
        images.send(lacking, known, worker.ctr_command("images", "import", "-"))
