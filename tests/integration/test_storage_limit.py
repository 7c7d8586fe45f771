"""A limit that the disk does not know: of a Kubernetes emptyDir, or of a volume without quota."""

from __future__ import annotations

import os
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
    taken = sum(path.stat().st_blocks * 512 for path in node.directory.rglob("*"))
    assert taken <= 20 * MB
    node.request("DELETE", "/files/a.bin")
    wait_for(lambda: put(node, "c.bin", 8 * MB) == 201, "the room of the deleted file", 30)


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
    wait_for(lambda: put(node, "a.bin", 20 * MB) == 201, "the larger limit", 30)
