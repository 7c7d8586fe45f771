"""A download says why it is slow or stuck: one real cause at a time."""

from __future__ import annotations

import os
import selectors
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from minga_node.fetching.response_reader import STALL_SECONDS
from minga_node.manifest import hash_file
from tests.nodes import HOST, Nodes, RunningNode
from tests.support.shell import Shell
from tests.waiting import wait_for

pytestmark = pytest.mark.integration

MIB = 1024 * 1024
CROWD = 20
"""Far fewer than may wait: what counts is for how long they would."""


def begin(node: RunningNode, **what: Any) -> str:
    response = node.request("POST", "/api/v1/downloads", json=what)
    assert response.status == 202, response.data
    return str(response.json()["id"])


def why(node: RunningNode, identity: str) -> str:
    return str(node.get(f"/api/v1/downloads/{identity}")["why"])


def ended_download(node: RunningNode, identity: str) -> dict[str, Any] | None:
    """The download, once it has ended."""
    download: dict[str, Any] = node.get(f"/api/v1/downloads/{identity}")
    return download if download["state"] in {"complete", "failed", "cancelled"} else None


def says(node: RunningNode, identity: str, words: str) -> None:
    """In REST, and in the table that people see."""
    heard: list[str] = []

    def said() -> bool:
        heard.append(why(node, identity))
        return words in heard[-1]

    try:
        wait_for(said, f"it says {words!r}")
    except AssertionError as error:
        raise AssertionError(f"{error}; it said {set(heard)}") from None
    wait_for(
        lambda: words in Shell(node.home, node.url)("downloads"), f"`minga downloads` says {words!r}", 30
    )


@contextmanager
def crowd(node: RunningNode, name: str) -> Iterator[None]:
    """More requests than may wait at a node: until it sends some away. What comes is read: an answer that
    nobody reads would keep no slot.
    """
    port = node.get("/api/v1/node")["data_port"]
    content = node.get(f"/api/v1/files?name={name}")["files"][0]["id"]
    request = f"GET /pieces/{content} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    refused, over = threading.Event(), threading.Event()
    with ExitStack() as stack, selectors.DefaultSelector() as selector:

        def read() -> None:
            heads: dict[socket.socket, bytes] = {}
            while not over.is_set():
                for key, _ in selector.select(0.1):
                    sock = key.fileobj
                    assert isinstance(sock, socket.socket)
                    came = sock.recv(1 << 16)
                    heads[sock] = (heads.get(sock, b"") + came)[:64]
                    if heads[sock].startswith(b"HTTP/1.1 503"):
                        refused.set()
                    if not came:
                        selector.unregister(sock)

        def ask() -> bool:
            one = stack.enter_context(socket.create_connection((HOST, port), 10))
            one.sendall(request)
            selector.register(one, selectors.EVENT_READ)
            return refused.wait(0.2)

        reader = threading.Thread(target=read)
        reader.start()
        try:
            for _ in range(CROWD):
                ask()
            # A busy machine may not have read them all yet.
            wait_for(ask, "it has too many")
            yield
        finally:
            over.set()
            reader.join()


def half_here(nodes: Nodes, size: int, limit: int) -> tuple[RunningNode, RunningNode, str]:
    """A holder that gives ``limit`` bytes a second, who fetches from it, and the download, under way."""
    far = nodes.start("far", files={"big.bin": os.urandom(size)}, upload_limit=limit).ready()
    near = nodes.start("near", far).ready()
    wait_for(lambda: "big.bin" in near.names(), "near knows it")
    identity = begin(near, name="big.bin")
    wait_for(lambda: near.get(f"/api/v1/downloads/{identity}")["verified"] > 0, "something is here")
    return far, near, identity


def test_no_holder(nodes: Nodes) -> None:
    far, near, identity = half_here(nodes, 8 * MIB, MIB)
    far.kill()
    says(near, identity, "no holder")
    far.launch()
    wait_for(lambda: near.get(f"/api/v1/downloads/{identity}")["state"] == "complete", "it goes on")


def test_a_file_that_was_changed_meanwhile(nodes: Nodes, tmp_path: Path) -> None:
    far, near, identity = half_here(nodes, 12 * MIB, 3 * MIB)
    far.kill()
    says(near, identity, "no holder")
    (far.directory / "big.bin").write_bytes(b"other bytes")
    far.launch()
    reason = "no holder; another content has its name"
    ended = wait_for(lambda: ended_download(near, identity), "nobody has this content any more", 60)
    assert ended is not None
    assert (ended["state"], ended["error"], ended["error_type"]) == ("failed", reason, "gone")
    assert reason in Shell(near.home, near.url)("downloads")
    minga = Shell(tmp_path, near.url)
    minga("get", "big.bin", "-o", "big.bin")
    assert (tmp_path / "big.bin").read_bytes() == b"other bytes"


def test_its_own_limit_which_holds(nodes: Nodes, tmp_path: Path) -> None:
    body = os.urandom(6 * MIB)
    far = nodes.start("far", files={"big.bin": body}).ready()
    near = nodes.start("near", far).ready()
    wait_for(lambda: "big.bin" in near.names(), "near knows it")
    minga = Shell(tmp_path, near.url)
    began = time.monotonic()
    process = minga.popen("get", "big.bin", "--limit-rate", "1M", "-o", "big.bin")
    wait_for(lambda: near.get("/api/v1/downloads")["downloads"], "it has begun")
    (download,) = near.get("/api/v1/downloads")["downloads"]
    assert download["limit"] == 1_000_000
    says(near, download["id"], "held back by a limit: its own")
    process.communicate(timeout=60)
    assert process.returncode == 0
    took = time.monotonic() - began
    assert took > 5.4
    # What the node has already comes no faster.
    began = time.monotonic()
    minga("get", "big.bin", "--limit-rate", "2M", "-o", "again.bin")
    assert time.monotonic() - began > 2.5
    (download, *_) = near.get("/api/v1/downloads")["downloads"]
    assert download["seconds"] > 5.4, "6 MiB at 1 MiB a second, less what a burst may be ahead"
    assert (tmp_path / "big.bin").read_bytes() == body


def test_the_nodes_limit(nodes: Nodes) -> None:
    far = nodes.start("far", files={"big.bin": os.urandom(8 * MIB)}).ready()
    near = nodes.start("near", far, download_limit=MIB).ready()
    wait_for(lambda: "big.bin" in near.names(), "near knows it")
    says(near, begin(near, name="big.bin"), "held back by a limit: the node's download_limit")


def test_all_holders_are_busy(nodes: Nodes) -> None:
    """One slot, which others keep for minutes. Who waits for it is sent away: the holder is not gone."""
    far = nodes.start(
        "far", files={"big.bin": os.urandom(64 * MIB)}, upload_slots=1, upload_limit=MIB // 2
    ).ready()
    near = nodes.start("near", far).ready()
    wait_for(lambda: "big.bin" in near.names(), "near knows it")
    with crowd(far, "big.bin"):
        identity = begin(near, name="big.bin")
        says(near, identity, "all holders are busy")
        # Longer than a receiver waits for a holder that says nothing.
        heard: set[str] = set()
        end = time.monotonic() + STALL_SECONDS + 5
        while time.monotonic() < end:
            heard.add(why(near, identity))
        assert "no holder" not in heard
        assert near.get(f"/api/v1/downloads/{identity}")["stalls"] == 0


@pytest.fixture
def frozen_disk(tmp_path: Path) -> Iterator[Path]:
    """An ext4 of its own that can be frozen: then every write waits."""
    if os.geteuid() != 0 or not all(shutil.which(tool) for tool in ("mkfs.ext4", "mount", "fsfreeze")):
        pytest.skip("needs root, mkfs.ext4 and fsfreeze for a disk that stands still")
    image, where = tmp_path / "disk.img", tmp_path / "disk"
    where.mkdir()
    with image.open("wb") as out:
        out.truncate(128 * MIB)
    subprocess.run(["mkfs.ext4", "-q", "-F", str(image)], check=True)
    if subprocess.run(["mount", "-o", "loop", str(image), str(where)], capture_output=True).returncode:
        pytest.skip("needs a loop device")
    yield where
    subprocess.run(["fsfreeze", "-u", str(where)], capture_output=True)
    subprocess.run(["umount", "-l", str(where)], check=True)


@pytest.mark.root
def test_the_disk(nodes: Nodes, frozen_disk: Path, tmp_path: Path) -> None:
    far = nodes.start("far", files={"big.bin": os.urandom(48 * MIB)}, upload_limit=4 * MIB).ready()
    (frozen_disk / "files").mkdir()
    near = nodes.start(
        "near", far, directory=str(frozen_disk / "files"), state_directory=str(tmp_path / "state")
    ).ready()
    wait_for(lambda: "big.bin" in near.names(), "near knows it")
    identity = begin(near, name="big.bin")
    wait_for(lambda: near.get(f"/api/v1/downloads/{identity}")["verified"] > 0, "something is here")
    subprocess.run(["fsfreeze", "-f", str(frozen_disk)], check=True)
    says(near, identity, "waiting for the disk")
    subprocess.run(["fsfreeze", "-u", str(frozen_disk)], check=True)
    wait_for(lambda: near.get(f"/api/v1/downloads/{identity}")["state"] == "complete", "it goes on")
    assert hash_file(frozen_disk / "files/big.bin").id == hash_file(far.directory / "big.bin").id
    near.terminate()
