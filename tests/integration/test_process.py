"""How the node's process starts and ends."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import urllib3

from tests.nodes import HTTP, Nodes, RunningNode, free_port
from tests.waiting import PATIENCE, wait_for

pytestmark = pytest.mark.integration


def start_to_end(tmp_path: Path, config: dict[str, Any] | str) -> subprocess.CompletedProcess[str]:
    """Runs a node that is expected to end by itself."""
    path = tmp_path / "peer_config.json"
    path.write_text(config if isinstance(config, str) else json.dumps(config))
    return subprocess.run(
        [sys.executable, "-m", "minga_node.main", "--config", str(path)],
        capture_output=True,
        text=True,
        timeout=60,
    )


def one_line(text: str) -> str:
    assert text.count("\n") == 1, text
    return text


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"ip": "0.0.0.0", "port": "high", "directory": "/srv"}, 'port is "high": expected a valid integer'),
        ({"port": 5000}, "directory is missing"),
        ({"directory": "/srv", "seedpeer": ""}, "seedpeer is not a key"),
        ("{", "is not JSON"),
    ],
)
def test_a_wrong_configuration_is_one_line_and_status_2(
    tmp_path: Path, config: dict[str, Any] | str, words: str
) -> None:
    ended = start_to_end(tmp_path, config)
    assert ended.returncode == 2
    assert words in one_line(ended.stderr)


def test_a_missing_configuration_is_one_line_and_status_2(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "minga_node.main", "--config", str(tmp_path / "none.json")],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode == 2
    assert "cannot read" in one_line(ended.stderr)


@pytest.mark.parametrize("key", ["port", "grpc_port", "data_port"])
def test_a_port_in_use_is_one_line_and_status_1(tmp_path: Path, key: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        config = {"ip": "127.0.0.1", "port": 0, "grpc_port": 0, "directory": str(tmp_path), key: port}
        ended = start_to_end(tmp_path, config)
    assert ended.returncode == 1
    assert str(port) in one_line(ended.stderr)


def test_a_missing_directory_is_one_line_and_status_1(tmp_path: Path) -> None:
    ended = start_to_end(tmp_path, {"ip": "127.0.0.1", "port": 0, "directory": str(tmp_path / "none")})
    assert ended.returncode == 1
    assert "does not exist" in one_line(ended.stderr)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_an_unreadable_directory_is_one_line_and_status_1(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0)
    ended = start_to_end(tmp_path, {"ip": "127.0.0.1", "port": 0, "directory": str(closed)})
    assert ended.returncode == 1
    assert "cannot be read" in one_line(ended.stderr)


def test_two_nodes_do_not_share_one_state(nodes: Nodes, tmp_path: Path) -> None:
    first = nodes.start("first").ready()
    ended = start_to_end(
        tmp_path, {"ip": "127.0.0.1", "port": 0, "grpc_port": 0, "directory": str(first.directory)}
    )
    assert ended.returncode == 1
    assert "another node runs" in one_line(ended.stderr)


def test_four_keys_make_a_node(tmp_path: Path) -> None:
    directory = tmp_path / "files"
    directory.mkdir()
    (directory / "a.txt").write_text("a")
    port, grpc_port = free_port(), free_port()
    path = tmp_path / "peer_config.json"
    path.write_text(
        json.dumps({"ip": "127.0.0.1", "port": port, "directory": str(directory), "seed_peer": ""})
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "minga_node.main", "--config", str(path)],
        stderr=subprocess.DEVNULL,
        env={**os.environ, "MINGA_GRPC_PORT": str(grpc_port)},
    )
    try:
        url = f"http://127.0.0.1:{port}"

        def listed() -> bool:
            try:
                files = HTTP.request("GET", f"{url}/api/v1/files").json()["files"]
            except Exception:  # noqa: BLE001 - it may not listen yet
                return False
            return [row["name"] for row in files] == ["a.txt"]

        wait_for(listed, "the file listed")
        wait_for(lambda: HTTP.request("GET", f"{url}/readyz").status == 200, "it is ready")
    finally:
        process.terminate()
        assert process.wait(PATIENCE) == 0


def test_sigterm_ends_it_within_ten_seconds_and_lets_a_running_answer_finish(nodes: Nodes) -> None:
    content = os.urandom(20_000_000)
    node = nodes.start("one").ready()
    node.put("big.bin", content)
    got = bytearray()

    def slowly() -> None:
        with socket.create_connection(("127.0.0.1", node.config["port"])) as connection:
            connection.sendall(b"GET /files/big.bin HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            while chunk := connection.recv(256 * 1024):
                got.extend(chunk)
                time.sleep(0.01)

    reader = threading.Thread(target=slowly)
    reader.start()
    wait_for(lambda: len(got) > 0, "the answer has begun")
    started = time.monotonic()
    assert node.terminate() == 0
    assert time.monotonic() - started < 10
    reader.join(10)
    assert bytes(got).partition(b"\r\n\r\n")[2] == content
    assert "Traceback" not in node.log


def test_sigterm_ends_it_in_time_though_clients_follow_events(nodes: Nodes) -> None:
    node = nodes.start("one").ready()
    connections = []
    for _ in range(3):
        connection = socket.create_connection(("127.0.0.1", node.config["port"]))
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert connection.recv(100)
        connections.append(connection)
    started = time.monotonic()
    assert node.terminate() == 0
    assert time.monotonic() - started < 10
    for connection in connections:
        connection.close()


def test_a_seed_that_does_not_answer_leaves_the_node_serving_and_saying_so(nodes: Nodes) -> None:
    lonely = nodes.start("lonely", files={"mine.txt": b"x"})
    lonely.config["seed_peer"] = f"http://127.0.0.1:{free_port()}"
    lonely.kill()
    (lonely.home / "log").unlink()
    lonely.launch()

    def answer() -> Any:
        try:
            return HTTP.request("GET", f"{lonely.url}/readyz")
        except Exception:  # noqa: BLE001 - it may not listen yet
            return None

    response = wait_for(answer, "an answer of /readyz")
    assert response.status == 503
    seed = lonely.config["seed_peer"]
    wait_for(lambda: seed in answer().json()["detail"], "the seed named as what it waits for")
    wait_for(lambda: lonely.names() == {"mine.txt"}, "its own file listed")
    assert lonely.request("GET", "/files/mine.txt").data == b"x"
    # It goes on trying, but says so once.
    with pytest.raises(AssertionError):
        wait_for(lambda: lonely.log.count(seed) > 1, "a second line", timeout=3)
    port = int(seed.rsplit(":", 1)[1])
    nodes.start("seed", port=port).ready()
    lonely.ready()


def test_json_logs_are_one_object_a_line(nodes: Nodes) -> None:
    node = nodes.start("one", log_format="json").ready()
    node.terminate()
    events = [json.loads(line) for line in node.log.splitlines()]
    assert {"time", "level", "part", "message"} <= set(events[0])


def test_a_damaged_state_is_moved_aside_and_the_files_published_again(nodes: Nodes) -> None:
    node = nodes.start("one", files={"a": b"x"}).ready()
    wait_for(lambda: node.names() == {"a"}, "the file")
    epoch = node.get("/api/v1/node")["epoch"]
    node.terminate()
    state = next((node.directory / ".minga").glob("*.sqlite3"))
    state.write_bytes(b"garbage" * 10_000)
    node.launch()
    node.ready()
    wait_for(lambda: node.names() == {"a"}, "the file again")
    assert node.get("/api/v1/node")["epoch"] > epoch
    assert "damaged" in node.log


def test_a_signal_that_another_thread_gets_ends_the_node_too(nodes: Nodes) -> None:
    """The kernel may choose any thread of a process."""
    node = nodes.start("one").ready()
    main = node.process.pid
    tasks = Path(f"/proc/{main}/task")
    state = tasks / str(main) / "status"
    wait_for(lambda: "one serves" in node.log, "it has started")
    wait_for(lambda: "State:\tS" in state.read_text(), "its main thread waits")
    other = max(int(task.name) for task in tasks.iterdir())
    assert ctypes.CDLL(None).tgkill(main, other, int(signal.SIGTERM)) == 0
    assert node.process.wait(PATIENCE) == 0


BEGIN = """
import sys
from minga_node import main
from minga_node.downloads import Downloads
from minga_node.errors import StorageFailed
begin = Downloads.start_up
def start_up(self):
    {instead}
    begin(self)
Downloads.start_up = start_up
sys.exit(main.run(sys.argv[1:]))
"""
"""A node whose start takes a way of its own."""


def begun(node: RunningNode, instead: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [
            sys.executable,
            "-c",
            BEGIN.format(instead=instead),
            "--config",
            str(node.home / "peer_config.json"),
        ],
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_node_is_not_ready_before_all_of_it_has_started(nodes: Nodes, tmp_path: Path) -> None:
    node = nodes.start("one").ready()
    node.terminate()
    go_on = tmp_path / "go on"
    process = begun(node, f"import time, os\n    while not os.path.exists({str(go_on)!r}): time.sleep(0.05)")
    try:

        def said() -> str:
            try:
                response = node.request("GET", "/readyz")
            except urllib3.exceptions.HTTPError:
                return ""
            return "ready" if response.status == 200 else str(response.json()["detail"])

        assert "the node is starting" in wait_for(said, "it answers")
        go_on.touch()
        wait_for(lambda: said() == "ready", "it has started")
    finally:
        process.terminate()
        process.communicate(timeout=PATIENCE)


def test_a_node_that_cannot_start_says_why_in_one_line(nodes: Nodes) -> None:
    node = nodes.start("one").ready()
    node.terminate()
    process = begun(node, "raise StorageFailed('state database: it cannot be read')")
    _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    assert "minga-node: state database: it cannot be read" in said.splitlines()
    assert "Traceback" not in said
