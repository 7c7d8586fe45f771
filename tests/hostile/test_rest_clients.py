"""REST among clients that send, read or wait slowly, go away, or are too many."""

from __future__ import annotations

import os
import resource
import socket
import time
from collections.abc import Iterator

import pytest

from tests.nodes import HOST, Nodes, RunningNode
from tests.support.slow_clients import kinds, latencies, more_descriptors, slow_clients
from tests.waiting import wait_for

pytestmark = pytest.mark.integration

TOKEN = "write-token-0123456789"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
MIB = 1024 * 1024
EACH = 150
"""Clients of each kind: more than twice the threads that answer."""


def get(path: str, method: str = "GET") -> bytes:
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\nConnection: close\r\n\r\n"
    )
    return head.encode()


def p99(took: list[float]) -> float:
    return took[int(len(took) * 0.99)]


def threads(node: RunningNode) -> int:
    return len(os.listdir(f"/proc/{node.process.pid}/task"))  # noqa: PTH208


def descriptors(node: RunningNode) -> int:
    return len(os.listdir(f"/proc/{node.process.pid}/fd"))  # noqa: PTH208


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RunningNode, RunningNode]]:
    """A node under attack, and one that holds ``gone.bin`` and gives it very slowly."""
    more_descriptors()
    base = tmp_path_factory.mktemp("slow")
    tokens = base / "tokens"
    tokens.mkdir()
    (tokens / "write").write_text(TOKEN)
    nodes = Nodes(base)
    far = nodes.start("far", files={"gone.bin": os.urandom(8 * MIB)}, upload_limit=64 * 1024).ready()
    files = {"small.bin": b"x" * 1000, "big.bin": os.urandom(32 * MIB)}
    near = nodes.start("near", far, files=files, tokens_directory=str(tokens)).ready()

    def listed() -> set[str]:
        response = near.request("GET", "/api/v1/files", headers=BEARER)
        return {row["name"] for row in response.json()["files"]}

    wait_for(lambda: {"small.bin", "big.bin", "gone.bin"} <= listed(), "all files are known")
    yield near, far
    nodes.stop()


def test_an_honest_client_is_served_among_slow_ones_of_every_kind(
    pair: tuple[RunningNode, RunningNode],
) -> None:
    near, far = pair
    port = near.config["port"]
    with slow_clients(port) as clients:
        for kind, first in kinds(TOKEN.encode(), b"big.bin", b"gone.bin").items():
            clients.open(EACH, first)
            if kind == "readers of what does not come":
                far.kill()
        wait_for(lambda: near.metric("minga_rest_connections") > 5 * EACH, "the node has them all")
        healthz = latencies(port, get("/healthz"), 3)
        small = latencies(port, get("/files/small.bin"), 3)
        metrics = latencies(port, get("/metrics"), 1)
        # With room for a machine that does other work, too; tests/bench/rest.py --slow has the figures.
        assert p99(healthz) < 3
        assert p99(small) < 5
        assert p99(metrics) < 5
        (download,) = near.request("GET", "/api/v1/downloads", headers=BEARER).json()["downloads"]
        assert download["name"] == "gone.bin"
        began = time.monotonic()
        where = f"/api/v1/downloads/{download['id']}"
        assert near.request("DELETE", where, headers=BEARER).status == 204
        assert time.monotonic() - began < 10
        assert threads(near) < 150
    wait_for(lambda: descriptors(near) < EACH, "nothing is left of them")
    assert "Traceback" not in near.log


def test_a_client_without_a_token_hears_so_before_its_body(pair: tuple[RunningNode, RunningNode]) -> None:
    near, _ = pair
    with socket.create_connection((HOST, near.config["port"]), 10) as connection:
        connection.sendall(b"PUT /files/x HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 401 ")
        # Then it is told to go.
        connection.settimeout(20)
        assert connection.recv(65536) == b""


def test_who_asks_first_gets_a_word_before_the_body(pair: tuple[RunningNode, RunningNode]) -> None:
    near, _ = pair
    head = f"PUT /files/asked HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nAuthorization: Bearer {TOKEN}\r\n"
    with socket.create_connection((HOST, near.config["port"]), 10) as connection:
        connection.sendall(f"{head}Expect: 100-continue\r\n\r\n".encode())
        assert connection.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b"hello")
        assert connection.recv(65536).startswith(b"HTTP/1.1 201 ")
        connection.sendall(f"{head}Expect: 100-continue\r\nIf-None-Match: *\r\n\r\n".encode())
        assert connection.recv(65536).startswith(b"HTTP/1.1 412 ")


def test_an_archive_whose_client_went_away_is_given_up(nodes: Nodes) -> None:
    """And so is a file that is being fetched: no socket and no thread stays with it."""
    far = nodes.start("far", files={"gone.bin": os.urandom(8 * MIB)}, upload_limit=64 * 1024).ready()
    near = nodes.start("near", far).ready()
    wait_for(lambda: "gone.bin" in near.names(), "near knows it")
    before = descriptors(near)
    connections = []
    for path in ("/files/gone.bin", "/api/v1/archive?q=gone.bin") * 40:
        connection = socket.create_connection((HOST, near.config["port"]), 10)
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        connections.append(connection)
    wait_for(lambda: near.get("/api/v1/downloads")["downloads"], "it is being fetched")
    far.kill()
    assert all(connection.recv(100).startswith(b"HTTP/1.1 200 ") for connection in connections)
    for connection in connections:
        connection.close()
    wait_for(lambda: near.metric("minga_rest_connections") < 20, "the node saw them go", 20)
    assert descriptors(near) < before + 40


def test_heads_and_answers_that_do_not_go_on_are_ended(nodes: Nodes) -> None:
    node = nodes.start("one").ready()
    with socket.create_connection((HOST, node.config["port"]), 40) as connection:
        connection.settimeout(40)
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost:")
        began = time.monotonic()
        assert connection.recv(65536).startswith(b"HTTP/1.1 408 ")
        assert 10 < time.monotonic() - began < 30
    assert node.metric("minga_rest_cut_total", reason="head") == 1


def test_beyond_the_limit_who_waited_longest_makes_room(nodes: Nodes) -> None:
    more_descriptors()
    node = nodes.start("one", rest_connections=50).ready()
    with slow_clients(node.config["port"]) as clients:
        clients.open(200, lambda _: (b"GET / HT", b""))
        assert p99(latencies(node.config["port"], get("/healthz"), 1)) < 2
    wait_for(lambda: node.metric("minga_rest_connections") < 10, "they are gone")
    assert node.metric("minga_rest_cut_total", reason="full") >= 140


def test_a_node_with_few_descriptors_leaves_half_of_them_to_its_other_parts(nodes: Nodes) -> None:
    more_descriptors()
    node = nodes.start("one", files={"a": b"x"})
    node.kill()
    node.prefix = ("prlimit", "--nofile=400:400")
    node.launch()
    node.ready()
    with slow_clients(node.config["port"]) as clients:
        clients.open(600, lambda _: (b"GET / HT", b""))
        wait_for(lambda: node.names() == {"a"}, "it answers, and has looked at its directory")
        assert descriptors(node) < 350
    assert "accepts nobody" not in node.log


def test_without_descriptors_it_waits_says_so_once_and_goes_on(nodes: Nodes) -> None:
    more_descriptors()
    node = nodes.start("one", files={"a": b"x"}).ready()
    # As if other parts of the node had taken them.
    limit = descriptors(node) + 100
    resource.prlimit(node.process.pid, resource.RLIMIT_NOFILE, (limit, limit))
    with slow_clients(node.config["port"]) as clients:
        for _ in range(3):
            clients.open(300, lambda _: (b"GET / HT", b""))
            time.sleep(0.5)
        wait_for(lambda: "accepts nobody for now" in node.log, "it says so")
    assert wait_for(lambda: node.is_ready(), "it answers again")
    assert node.names() == {"a"}
    assert node.log.count("accepts nobody for now") == 1
    assert len(node.log.splitlines()) < 100
