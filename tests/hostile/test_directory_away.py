"""A directory that was unmounted or moved is away: nothing is told of its files, and nothing is written."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import urllib3

from tests.nodes import Nodes, RunningNode
from tests.waiting import wait_for

pytestmark = pytest.mark.integration

CONTENT = {"a": b"a" * 1000, "folder/b": os.urandom(200_000)}


def reason(node: RunningNode) -> str:
    """Why it is not ready; empty if it is."""
    try:
        answer = node.request("GET", "/readyz")
    except urllib3.exceptions.HTTPError:
        return "it does not answer"
    return "" if answer.status == 200 else str(answer.json()["detail"])


def shares(node: RunningNode) -> int:
    """How often it has shared what was there from the beginning."""
    return len(re.findall(r"\d files are shared|\b(?:a|folder/b) is shared", node.log))


def asked(node: RunningNode) -> set[int]:
    """The status of all kinds of requests."""
    paths = ["/files/a", "/api/v1/node", "/api/v1/files", "/api/v1/peers", "/metrics", "/healthz"]
    return {node.request("GET", path).status for path in paths for _ in range(3)}


def is_whole(node: RunningNode) -> bool:
    with suppress(urllib3.exceptions.HTTPError):
        return all(node.request("GET", f"/files/{name}").data == body for name, body in CONTENT.items())
    return False


@pytest.mark.parametrize("instead", ["nothing", "an empty directory"])
@pytest.mark.parametrize("state", ["inside", "outside"])
def test_a_directory_that_was_moved(nodes: Nodes, tmp_path: Path, instead: str, state: str) -> None:
    far = nodes.start("far").ready()
    more = {"state_directory": str(tmp_path / "state")} if state == "outside" else {}
    node = nodes.start("node", far, files=CONTENT, rescan_seconds=0.3, **more).ready()
    wait_for(lambda: far.names() == set(CONTENT), "far knows them")
    shared = shares(node)
    away = tmp_path / "elsewhere"
    node.directory.rename(away)
    if instead != "nothing":
        node.directory.mkdir()
    wait_for(lambda: "directory is away" in reason(node), "it says so", 20)
    for _ in range(3):
        put = node.request("PUT", "/files/new", body=b"new")
        assert (put.status, put.json()["type"]) == (503, "urn:minga:problem:directory-away")
        deleted = node.request("DELETE", "/files/a")
        assert deleted.status == 503
        assert not asked(node) & {500}
    fetch = node.request("POST", "/api/v1/downloads", json={"name": "a"})
    assert fetch.status in {202, 503}
    assert far.names() == set(CONTENT), "nobody is told that they are gone"
    assert node.process.poll() is None
    if instead == "nothing":
        assert not node.directory.exists(), "nothing is written in its place"
    else:
        assert list(node.directory.iterdir()) == []
        node.directory.rmdir()
    away.rename(node.directory)
    wait_for(lambda: not reason(node), "it goes on by itself")
    wait_for(lambda: is_whole(node), "with its files")
    node.put("new", b"new")
    wait_for(lambda: "new" in far.names(), "and new ones")
    (node.directory / "saved").write_bytes(b"saved")
    wait_for(lambda: "saved" in far.names(), "and what is saved there")
    assert shares(node) == shared, "none is shared anew"
    assert "Traceback" not in node.log


def mount(path: Path) -> None:
    command = ["mount", "-t", "tmpfs", "-o", "size=8M", "tmpfs", str(path)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("needs root for a volume of its own")


@pytest.fixture
def volume(tmp_path: Path) -> Iterator[Path]:
    """Where a volume is mounted; it may be unmounted and mounted again, with nothing in it then."""
    path = tmp_path / "node" / "files" / "folder"
    path.mkdir(parents=True)
    mount(path)
    yield path
    while path.is_mount():
        subprocess.run(["umount", "-l", str(path)], check=True)


@pytest.mark.root
def test_a_volume_in_the_directory_that_was_unmounted(nodes: Nodes, volume: Path) -> None:
    far = nodes.start("far").ready()
    node = nodes.start("node", far, files=CONTENT, rescan_seconds=0.3).ready()
    wait_for(lambda: far.names() == set(CONTENT), "far knows them")
    aside = volume.parent.parent / "aside"
    aside.mkdir()
    subprocess.run(["mount", "--bind", str(volume), str(aside)], check=True)
    try:
        subprocess.run(["umount", "-l", str(volume)], check=True)
        wait_for(lambda: "no volume is mounted any more" in reason(node), "it says so")
        assert "at folder of" in reason(node)
        (volume / "stray").write_bytes(b"covered by the volume")
        assert node.request("PUT", "/files/folder/new", body=b"new").status == 503
        assert node.request("PUT", "/files/new", body=b"new").status == 201
        wait_for(lambda: far.names() == {*CONTENT, "new"}, "the others are shared, and nothing is withdrawn")
        subprocess.run(["mount", "--bind", str(aside), str(volume)], check=True)
        wait_for(lambda: not reason(node), "it goes on by itself")
        wait_for(lambda: is_whole(node), "with its files")
        assert far.names() == {*CONTENT, "new"}
    finally:
        subprocess.run(["umount", "-l", str(aside)], check=True)


@pytest.mark.root
def test_an_empty_disk_in_place_of_the_directory_at_the_start(nodes: Nodes, tmp_path: Path) -> None:
    directory = tmp_path / "disk"
    directory.mkdir()
    more: dict[str, Any] = {
        "directory": str(directory),
        "state_directory": str(tmp_path / "state"),
        "rescan_seconds": 0.3,
    }
    far = nodes.start("far").ready()
    for name, body in CONTENT.items():
        (directory / name).parent.mkdir(exist_ok=True)
        (directory / name).write_bytes(body)
    node = nodes.start("node", far, **more).ready()
    wait_for(lambda: far.names() == set(CONTENT), "far knows them")
    node.terminate()
    mount(directory)
    try:
        node.launch()
        wait_for(lambda: "an empty one is in its place" in reason(node), "it says so")
        assert node.request("PUT", "/files/new", body=b"new").status == 503
        assert far.names() == set(CONTENT), "nobody is told that they are gone"
        assert list(directory.iterdir()) == []
    finally:
        subprocess.run(["umount", "-l", str(directory)], check=True)
    wait_for(lambda: not reason(node), "it goes on by itself")
    wait_for(lambda: is_whole(node), "with its files")
