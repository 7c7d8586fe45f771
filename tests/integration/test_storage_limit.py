"""A limit that the disk does not know: of a Kubernetes emptyDir, or of a volume without quota."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.nodes import Nodes, RunningNode
from tests.waiting import wait_for

pytestmark = pytest.mark.integration

MB = 1 << 20


def put(node: RunningNode, name: str, size: int) -> int:
    """Returns HTTP's status, which may come before all of the body has been sent."""
    connection = HTTPConnection(urlsplit(node.url).netloc, timeout=60)
    try:
        with suppress(BrokenPipeError, ConnectionResetError):
            connection.request("PUT", f"/files/{name}", body=os.urandom(size))
        return connection.getresponse().status
    finally:
        connection.close()


def test_what_would_exceed_the_limit_is_refused_and_nothing_else(nodes: Nodes) -> None:
    node = nodes.start("small", storage_limit=20 * MB).ready()
    assert node.get("/api/v1/node")["disk_total"] == 20 * MB
    assert put(node, "a.bin", 8 * MB) == 201
    assert put(node, "large.bin", 60 * MB) == 507
    assert put(node, "b.bin", 8 * MB) == 201
    assert put(node, "c.bin", 8 * MB) == 507
    assert node.get("/api/v1/node")["disk_free"] < 4 * MB
    assert taken(node) <= 20 * MB
    node.request("DELETE", "/files/a.bin")
    wait_for(lambda: put(node, "c.bin", 8 * MB) == 201, "the room of the deleted file")


def test_a_body_that_comes_slowly_counts_once(nodes: Nodes) -> None:
    """The disk is counted anew while a part of it is there already."""
    node = nodes.start("small", storage_limit=20 * MB).ready()
    connection = HTTPConnection(urlsplit(node.url).netloc, timeout=60)
    connection.putrequest("PUT", "/files/a.bin")
    connection.putheader("Content-Length", str(12 * MB))
    connection.endheaders()
    connection.send(os.urandom(11 * MB))
    free = node.get("/api/v1/node")["disk_free"]
    time.sleep(6)
    wait_for(lambda: node.get("/api/v1/node")["disk_free"] <= free, "a count")
    connection.send(os.urandom(1 * MB))
    assert connection.getresponse().status == 201
    connection.close()
    assert put(node, "b.bin", 7 * MB) == 201


def test_what_is_announced_and_does_not_fit_is_refused_before_it_comes(nodes: Nodes) -> None:
    node = nodes.start("small", storage_limit=20 * MB).ready()
    connection = HTTPConnection(urlsplit(node.url).netloc, timeout=60)
    connection.putrequest("PUT", "/files/a.bin")
    connection.putheader("Content-Length", str(60 * MB))
    connection.endheaders()
    assert connection.getresponse().status == 507
    connection.close()
    assert node.get("/api/v1/node")["disk_free"] > 19 * MB


def test_a_body_of_unknown_length_is_stopped_where_the_room_ends(nodes: Nodes) -> None:
    node = nodes.start("small", storage_limit=20 * MB).ready()
    connection = HTTPConnection(urlsplit(node.url).netloc, timeout=60)
    most = 0

    def parts() -> Iterator[bytes]:
        nonlocal most
        for _ in range(60):
            most = max(most, taken(node))
            yield os.urandom(MB)

    with suppress(BrokenPipeError, ConnectionResetError):
        connection.request("PUT", "/files/a.bin", body=parts(), encode_chunked=True)
    assert connection.getresponse().status == 507
    connection.close()
    assert most <= 20 * MB
    assert put(node, "b.bin", 18 * MB) == 201


def taken(node: RunningNode) -> int:
    sizes = 0
    for path in node.directory.rglob("*"):
        with suppress(FileNotFoundError):
            sizes += path.lstat().st_blocks * 512
    return sizes


def test_sparse_stays_sparse(nodes: Nodes) -> None:
    node = nodes.start("small").ready()
    body = b"x" * 4096 + bytes(32 * MB) + b"y" * 4096
    assert node.request("PUT", "/files/a.bin", body=body).status == 201
    path = node.directory / "a.bin"
    assert path.read_bytes() == body
    assert path.stat().st_blocks * 512 < 2 * MB


def test_a_fetched_file_is_as_sparse_within_its_pieces(nodes: Nodes) -> None:
    """Of 2 GiB in pieces of 2 MiB, each that has data has 256 KiB of it."""
    quarter = os.urandom(256 * 1024)
    seed = nodes.start("seed", seed=True)
    with (seed.directory / "sparse.bin").open("wb") as file:
        for piece in range(64):
            file.seek(piece * 32 * 1024 * 1024)
            file.write(quarter)
        file.truncate(64 * 32 * 1024 * 1024)
    seed.ready()
    node = nodes.start("small", seed).ready()
    wait_for(lambda: "sparse.bin" in node.names(), "the index", 60)
    assert node.fetch(name="sparse.bin")["state"] == "complete"
    path = node.directory / "sparse.bin"
    assert path.stat().st_size == 64 * 32 * 1024 * 1024
    assert path.stat().st_blocks * 512 < 2 * 64 * len(quarter)
    with path.open("rb") as file:
        for piece in range(64):
            file.seek(piece * 32 * 1024 * 1024)
            assert file.read(len(quarter) + 1) == quarter + b"\0"


def test_a_download_that_does_not_fit_fails_and_says_why(nodes: Nodes) -> None:
    seed = nodes.start("seed", files={"large.bin": os.urandom(30 * MB)}, seed=True).ready()
    node = nodes.start("small", seed, storage_limit=20 * MB).ready()
    wait_for(lambda: "large.bin" in node.names(), "the index")
    number = node.request("POST", "/api/v1/downloads", json={"name": "large.bin"}).json()["id"]
    ended = wait_for(
        lambda: (found := node.get(f"/api/v1/downloads/{number}"))["state"] == "failed" and found,
        "the end of the download",
        30,
    )
    assert "no room on the disk of small" in str(ended["error"])


def test_a_limit_in_a_file_holds_from_when_it_changes(nodes: Nodes, tmp_path: Path) -> None:
    file = tmp_path / "limit"
    file.write_text(str(10 * MB))
    node = nodes.start("small", storage_limit_file=str(file)).ready()
    assert put(node, "a.bin", 20 * MB) == 507
    file.write_text(str(40 * MB))
    wait_for(lambda: put(node, "a.bin", 20 * MB) == 201, "the larger limit")
