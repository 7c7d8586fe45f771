"""A disk that fills up while something is fetched: one clear line, and it goes on when there is room."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.nodes import Nodes, RunningNode
from tests.support.shell import Shell
from tests.waiting import wait_for

pytestmark = [pytest.mark.integration, pytest.mark.root]

MIB = 1024 * 1024


class Tmpfs:
    def __init__(self, path: Path) -> None:
        self.path = path

    def resize(self, size: int) -> None:
        subprocess.run(["mount", "-o", f"remount,size={size}", str(self.path)], check=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Tmpfs]:
    path = tmp_path / "disk"
    path.mkdir()
    mounted = (
        os.geteuid() == 0
        and not subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={10 * MIB}", "tmpfs", str(path)], capture_output=True
        ).returncode
    )
    if not mounted:
        pytest.skip("needs root for a disk of its own")
    yield Tmpfs(path)
    subprocess.run(["umount", "-l", str(path)], check=True)


def start(nodes: Nodes, disk: Tmpfs, files: dict[str, bytes]) -> tuple[RunningNode, RunningNode]:
    far = nodes.start("far", files=files).ready()
    (disk.path / "files").mkdir()
    near = nodes.start("near", far, directory=str(disk.path / "files")).ready()
    wait_for(lambda: near.names() == set(files), "near knows them")
    return near, far


def test_a_file_that_does_not_fit(nodes: Nodes, disk: Tmpfs, tmp_path: Path) -> None:
    body = os.urandom(20 * MIB)
    near, _ = start(nodes, disk, {"big.bin": body})
    minga = Shell(tmp_path, near.url)
    ended = minga.run("get", "big.bin", "-o", "got.bin")
    assert ended.returncode == 1
    assert ended.stderr.count(b"\n") == 1, ended.stderr
    assert b"big.bin: no room on the disk of near: it takes 20.0 MiB" in ended.stderr
    assert "no room on the disk" in minga("downloads")
    assert near.is_ready(), "and the node lives on"
    partial = disk.path / "files/.minga/partial"
    wait_for(lambda: not list(partial.iterdir()), "and takes no room for nothing")
    disk.resize(64 * MIB)
    minga("get", "big.bin", "-o", "got.bin")
    assert (tmp_path / "got.bin").read_bytes() == body


def test_many_small_files_that_do_not_fit(nodes: Nodes, disk: Tmpfs, tmp_path: Path) -> None:
    files = {f"many/{number:04}": os.urandom(30_000) for number in range(1000)}
    near, _ = start(nodes, disk, files)
    minga = Shell(tmp_path, near.url)
    ended = minga.run("--quiet", "get", "-r", "many", "-o", "got")
    assert ended.returncode == 1
    assert ended.stderr.count(b"\n") == 1, ended.stderr
    assert b"no room on the disk of near" in ended.stderr
    assert near.is_ready()
    disk.resize(128 * MIB)
    minga("--quiet", "get", "-r", "many", "-o", "got")
    assert {name: (tmp_path / "got" / name[5:]).read_bytes() for name in files} == files


def test_putting_many_small_files_that_do_not_fit(nodes: Nodes, disk: Tmpfs, tmp_path: Path) -> None:
    near, _ = start(nodes, disk, {"one": b"1"})
    (tmp_path / "many").mkdir()
    for number in range(1000):
        (tmp_path / f"many/{number:04}").write_bytes(os.urandom(30_000))
    minga = Shell(tmp_path, near.url)
    ended = minga.run("--quiet", "put", "-r", "many")
    assert ended.returncode == 1
    assert ended.stderr.count(b"\n") == 1, ended.stderr
    assert b"No space left" in ended.stderr
    assert not list((disk.path / "files/.minga/incoming").iterdir())
    disk.resize(128 * MIB)
    minga("--quiet", "put", "-r", "many")
    assert near.get("/api/v1/node")["files"] == 1000


def test_a_node_without_any_room_says_so_and_goes_on_when_there_is_some(nodes: Nodes, disk: Tmpfs) -> None:
    (disk.path / "files").mkdir()
    node = nodes.start("lone", directory=str(disk.path / "files")).ready()
    filler = disk.path / "filler"
    with filler.open("wb", buffering=0) as stream, suppress(OSError):
        while True:
            stream.write(b"x" * 4096)
    assert shutil.disk_usage(disk.path).free == 0
    wait_for(lambda: "no room on the disk for the node's state" in not_ready(node), "it says so", 90)
    assert node.request("GET", "/healthz").status == 200
    assert node.metric("minga_worker_failing", worker="state") == 1
    assert node.get("/api/v1/files")["files"] == []
    filler.unlink()
    node.ready()
    node.put("after", b"after")


def not_ready(node: RunningNode) -> str:
    """Why it is not, in its own words."""
    response = node.request("GET", "/readyz")
    return "" if response.status == 200 else str(response.json()["detail"])
