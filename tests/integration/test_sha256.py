"""The SHA-256 of whole files: computed when nothing else is done, shown, and used."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from tests.nodes import Nodes, RunningNode
from tests.support.shell import Shell
from tests.waiting import wait_for

pytestmark = pytest.mark.integration

BODY = os.urandom(3_000_000)
SHA256 = hashlib.sha256(BODY).hexdigest()


def known(node: RunningNode, name: str) -> str | None:
    rows = node.get(f"/api/v1/files?name={name}")["files"]
    return rows[0]["sha256"] if rows else None


def test_it_is_computed_shown_and_kept(nodes: Nodes, tmp_path: Path) -> None:
    node = nodes.start("one", files={"a.bin": BODY, "twin.bin": BODY, "empty": b""}).ready()
    wait_for(lambda: known(node, "a.bin"), "the digest of a file that was there")
    assert {known(node, "a.bin"), known(node, "twin.bin")} == {SHA256}
    node.put("new.txt", b"new")
    wait_for(lambda: known(node, "new.txt") == hashlib.sha256(b"new").hexdigest(), "that of a new file")
    wait_for(lambda: known(node, "empty") == hashlib.sha256(b"").hexdigest(), "that of nothing")
    assert SHA256 in Shell(tmp_path, node.url)("info", "a.bin")
    node.terminate()
    (node.home / "log").write_text("")
    node.launch()
    node.ready()
    # At once: it was kept.
    wait_for(lambda: node.get("/api/v1/files?name=a.bin")["files"], "the file is listed")
    assert known(node, "a.bin") == SHA256


def test_a_file_that_changes_has_another(nodes: Nodes) -> None:
    node = nodes.start("one", files={"a.bin": BODY}).ready()
    wait_for(lambda: known(node, "a.bin") == SHA256, "its digest")
    (node.directory / "a.bin").write_bytes(b"other")
    wait_for(lambda: known(node, "a.bin") == hashlib.sha256(b"other").hexdigest(), "that of the new content")


def test_it_waits_while_something_is_fetched(nodes: Nodes) -> None:
    far = nodes.start("far", files={"slow.bin": os.urandom(8_000_000)}).ready()
    near = nodes.start("near", far, download_limit=1_000_000).ready()
    wait_for(lambda: "slow.bin" in near.names(), "near knows it")
    begun = near.request("POST", "/api/v1/downloads", json={"name": "slow.bin"}).json()["id"]
    near.put("new.txt", b"new")

    def ended() -> bool:
        over: bool = near.get(f"/api/v1/downloads/{begun}")["state"] == "complete"
        assert (
            over
            or known(near, "new.txt") is None
            or near.get(f"/api/v1/downloads/{begun}")["state"] == "complete"
        )
        return over

    wait_for(ended, "the download")
    wait_for(lambda: known(near, "new.txt"), "the digest afterwards")


def test_it_can_be_switched_off(nodes: Nodes) -> None:
    node = nodes.start("one", files={"a.bin": b"a"}, sha256=False).ready()
    wait_for(lambda: "a.bin" in node.names(), "the file")
    assert idle_threads(node) == 0
    assert known(node, "a.bin") is None


def idle_threads(node: RunningNode) -> int:
    """Threads of the lowest priority."""
    lines = [path.read_text() for path in Path(f"/proc/{node.process.pid}/task").glob("*/stat")]
    return sum(int(line.rpartition(")")[2].split()[16]) == 19 for line in lines)


def test_its_thread_has_the_lowest_priority(nodes: Nodes) -> None:
    node = nodes.start("one", files={"a.bin": b"a"}).ready()
    wait_for(lambda: known(node, "a.bin"), "it runs")
    assert idle_threads(node) == 1


def test_a_wrong_checksum_is_known_before_anything_is_fetched(nodes: Nodes, tmp_path: Path) -> None:
    node = nodes.start("one", files={"a.bin": BODY}).ready()
    wait_for(lambda: known(node, "a.bin"), "its digest")
    minga = Shell(tmp_path, node.url)
    ended = minga.run("get", "a.bin", "--checksum", "sha256:" + "0" * 64)
    assert (ended.returncode, SHA256.encode() in ended.stderr) == (1, True)
    assert node.get("/api/v1/downloads")["downloads"] == []
    minga("get", "a.bin", "--checksum", f"sha256:{SHA256}")
    assert (tmp_path / "a.bin").read_bytes() == BODY
