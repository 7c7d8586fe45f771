"""Background work of a real node, in this process, whose database fails for a while."""

from __future__ import annotations

import gc
import json
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.error import HTTPError

import pytest

from minga_node.app import Node
from minga_node.config import Config
from minga_node.workers import Worker
from tests.nodes import free_port
from tests.support.faults import FAULTS, Disk, make_disk
from tests.waiting import wait_for

pytestmark = pytest.mark.integration

BY_NOTHING = {"state", "membership", "wants", "replication", "upkeep"}
"""Workers that do a step by themselves within seconds."""


def config(home: Path, **more: object) -> Config:
    (home / "files").mkdir(parents=True, exist_ok=True)
    return Config.model_validate({
        "ip": "127.0.0.1", "port": free_port(), "grpc_port": free_port(), "directory": str(home / "files"),
        "name": "node", "network": "test", "quiet_seconds": 0.05, "rescan_seconds": 1, "gossip_seconds": 0.1,
        **more,
    })  # fmt: skip


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return make_disk(monkeypatch)


@pytest.fixture
def node(tmp_path: Path, disk: Disk) -> Iterator[Node]:
    # Nobody listens there: what needs a broker runs, and waits for one.
    made = Node(config(tmp_path, broker_url=f"amqp://127.0.0.1:{free_port()}", replication_target=2))
    made.start()
    try:
        wait_for(lambda: readiness(made) == "", "it is ready")
        yield made
    finally:
        made.stop()


def readiness(node: Node) -> str:
    """What ``/readyz`` says is wrong; empty where nothing is."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{node.http.port}/readyz", timeout=30) as answer:
            assert answer.status == 200
            return ""
    except HTTPError as error:
        return str(json.loads(error.read())["detail"])


def answers(node: Node, path: str) -> tuple[int, str]:
    """Of a probe: the status, and what is wrong."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{node.http.port}{path}", timeout=30) as answer:
            return answer.status, ""
    except HTTPError as error:
        return error.code, str(json.loads(error.read())["detail"])


@pytest.mark.parametrize("how", ["ends", "hangs"])
def test_the_probes_tell_of_a_piece_listener_that_is_dead(
    node: Node, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """Only a restart brings it back, which is the kubelet's part: it asks /healthz."""
    monkeypatch.setattr("minga_node.workers.SHOWN_AFTER_SECONDS", 1.0)
    assert answers(node, "/healthz") == (200, "")
    go_on = threading.Event()
    if how == "ends":
        monkeypatch.setattr(node.pieces, "_ended", lambda: True)
        said = "piece listener fails: RuntimeError: it ended by itself"
    else:
        monkeypatch.setattr(node.pieces.worker, "_stuck_after", 1.0)
        monkeypatch.setattr(node.pieces, "_sweep", lambda _now: go_on.wait(60))
        said = "piece listener has not moved"
    node.pieces._wake()
    try:
        for path in ("/healthz", "/readyz"):
            wait_for(lambda path=path: answers(node, path)[0] == 503, f"{path} says so")  # type: ignore[misc]
            assert said in answers(node, path)[1]
    finally:
        go_on.set()


def workers(node: Node) -> list[Worker]:
    return list(node.workers)


def test_every_worker_of_a_node_is_watched(node: Node) -> None:
    made = {each for each in gc.get_objects() if isinstance(each, Worker) and each.alive}
    assert made <= set(workers(node))


@pytest.mark.parametrize("fault", FAULTS)
def test_all_outlive_a_database_that_fails(node: Node, disk: Disk, fault: str) -> None:
    node.drain.start()
    with disk.failing(fault):
        # Everybody looks at it at once, whatever they wait for.
        for worker in workers(node):
            worker.wake()
        (node.config.directory / "new").write_bytes(b"new")
        told = wait_for(lambda: readiness(node), "it says so")
        wait_for(
            lambda: {worker.name for worker in workers(node) if worker.failures > 1} >= BY_NOTHING,
            "those that work by themselves fail again and again",
        )
        wait_for(lambda: "wants fails: " in readiness(node), "it names what fails", 30)
        assert disk.met
        for worker in workers(node):
            assert worker.alive or worker._thread is None, worker.name
    assert told
    wait_for(lambda: readiness(node) == "", "it is ready again by itself", 90)
    for worker in workers(node):
        assert worker.failures == 0, (worker.name, worker.error)
        assert worker.alive, worker.name
    wait_for(lambda: "new" in node.index.local(), "and what came meanwhile is shared", 60)


def test_nothing_of_a_node_is_left_after_its_end(tmp_path: Path) -> None:
    def threads() -> set[str]:
        return {thread.name for thread in threading.enumerate()}

    def descriptors() -> list[str]:
        found = []
        for each in Path("/proc/self/fd").iterdir():
            with suppress(OSError):
                found.append(str(each.readlink()))
        return sorted(found)

    def run(name: str) -> None:
        node = Node(config(tmp_path / name))
        node.start()
        wait_for(lambda: readiness(node) == "", "it is ready")
        (node.config.directory / "a").write_bytes(b"a")
        wait_for(lambda: "a" in node.index.local(), "it shares a file")
        node.stop()

    # What gRPC begins once for the whole process comes with the first.
    run("first")
    gc.collect()
    before, open_before = threads(), descriptors()
    run("second")
    wait_for(lambda: threads() <= before, "its threads have ended", 15)
    gc.collect()
    assert len(descriptors()) <= len(open_before), set(descriptors()) - set(open_before)
