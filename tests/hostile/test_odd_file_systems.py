"""Directories on file systems that are not a Linux disk: they take two names for one, or stop to answer."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import urllib3

from tests.nodes import Nodes, RunningNode
from tests.waiting import wait_for

pytestmark = pytest.mark.integration

STALE = """
import errno, os
from minga_node import beneath

whole = beneath.open_beneath

def open_beneath(root, name, flags):
    if (name + "/").startswith("mounted/") and os.path.exists(os.environ["STALE"]):
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
    return whole(root, name, flags)

beneath.open_beneath = open_beneath
"""


class Exfat:
    """A file system that takes names which differ in case alone for one, served by a process of its own."""

    def __init__(self, image: Path, path: Path) -> None:
        self.path = path
        path.mkdir(parents=True)
        with image.open("wb") as out:
            out.truncate(32 * 1024 * 1024)
        subprocess.run(["mkfs.exfat", image], check=True, capture_output=True)
        found = subprocess.run(["losetup", "-f", "--show", image], check=True, capture_output=True, text=True)
        self._device = found.stdout.strip()
        self.mount()

    def mount(self) -> None:
        self._server = subprocess.Popen(
            ["mount.exfat-fuse", "-d", self._device, self.path],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_for(self.path.is_mount, "it is mounted")

    def die(self) -> None:
        """Its server ends as that of a network's file system does: whoever asks gets an error."""
        self._server.kill()
        self._server.wait()

    def unmount(self) -> None:
        subprocess.run(["umount", "-l", self.path], check=True)
        self._server.wait()

    def close(self) -> None:
        with suppress(subprocess.CalledProcessError):
            self.unmount()
        self.die()
        subprocess.run(["losetup", "-d", self._device], check=True)


@pytest.fixture
def exfat(tmp_path: Path) -> Iterator[Exfat]:
    if os.geteuid() != 0 or not Path("/dev/fuse").exists():
        pytest.skip("needs root and FUSE for a file system of its own")
    made = Exfat(tmp_path / "exfat.img", tmp_path / "node" / "files" / "mounted")
    yield made
    made.close()


def local(node: RunningNode) -> set[str]:
    return {row["name"] for row in node.get("/api/v1/files?scope=local")["files"]}


@pytest.mark.root
def test_names_that_differ_in_case_alone_are_one_and_nothing_is_lost(
    nodes: Nodes, tmp_path: Path, exfat: Exfat
) -> None:
    far = nodes.start("far", files={"mounted/README.TXT": b"far", "mounted/folder/b": b"b"}).ready()
    (exfat.path / "Readme.txt").write_bytes(b"the user's")
    (exfat.path / "Folder").mkdir()
    (exfat.path / "Folder" / "a").write_bytes(b"a")
    node = nodes.start("node", far, rescan_seconds=0.3).ready()
    wait_for(lambda: local(node) == {"mounted/Readme.txt", "mounted/Folder/a"}, "it is shared")
    refused = node.request("PUT", "/files/mounted/readme.txt", body=b"another")
    assert refused.status == 409
    assert "two names for one" in refused.json()["detail"]
    node.put("mounted/Readme.txt", b"the user's, later")
    wait_for(lambda: len(node.names("mounted")) == 4, "it knows the others")
    assert node.fetch(name="mounted/README.TXT")["state"] == "complete"
    assert node.fetch(name="mounted/folder/b")["state"] == "complete"
    assert (exfat.path / "Readme.txt").read_bytes() == b"the user's, later"
    beside = {"mounted/Readme.txt", "mounted/Folder/a", "mounted/Folder/b"}
    wait_for(lambda: {name for name in local(node) if "README" not in name} == beside, "names as they are")
    (exfat.path / "Readme.txt").rename(exfat.path / "readme.TXT")
    wait_for(lambda: "mounted/readme.TXT" in local(node), "the new name is shared")
    wait_for(lambda: "mounted/Readme.txt" not in far.names(), "and the one before is not")


@pytest.mark.root
def test_a_volume_whose_server_died_has_not_lost_its_files(nodes: Nodes, exfat: Exfat) -> None:
    (exfat.path / "a").write_bytes(b"a" * 1000)
    far = nodes.start("far").ready()
    node = nodes.start("node", far, files={"b": b"b"}, rescan_seconds=0.3).ready()
    wait_for(lambda: far.names() == {"mounted/a", "b"}, "they are known")
    shared = node.log.count("mounted/a is shared")
    exfat.die()
    wait_for(lambda: "mounted" in node.request("GET", "/readyz").json().get("detail", ""), "it says so")
    node.put("c", b"the rest goes on")
    wait_for(lambda: far.names() == {"mounted/a", "b", "c"}, "nobody is told that they are gone")
    put = node.request("PUT", "/files/mounted/new", body=b"new")
    assert (put.status, put.json()["type"]) == (503, "urn:minga:problem:directory-away")
    exfat.unmount()
    exfat.mount()
    node.ready()
    wait_for(lambda: node.request("GET", "/files/mounted/a").data == b"a" * 1000, "it is back")
    assert far.names() == {"mounted/a", "b", "c"}
    assert node.log.count("is gone") == 0, shared


def test_a_stale_handle_of_a_file_server_takes_no_file_away(
    nodes: Nodes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NFS says ESTALE, for a while or for ever. The layer below the node says so here, in a real node."""
    (tmp_path / "layer").mkdir()
    (tmp_path / "layer" / "sitecustomize.py").write_text(STALE)
    stale = tmp_path / "stale"
    far = nodes.start("far").ready()
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "layer"))
    monkeypatch.setenv("STALE", str(stale))
    node = nodes.start("node", far, files={"mounted/a": b"a", "b": b"b"}, rescan_seconds=0.3).ready()
    wait_for(lambda: far.names() == {"mounted/a", "b"}, "they are known")
    stale.touch()
    wait_for(lambda: "Stale file handle" in node.log, "it is named")
    node.put("c", b"the rest goes on")
    wait_for(lambda: far.names() == {"mounted/a", "b", "c"}, "and nothing is told to be gone")
    assert node.request("GET", "/files/mounted/a").status in {404, 503}
    assert node.log.count("Stale file handle") == 1, "once"
    stale.unlink()
    wait_for(lambda: node.request("GET", "/files/mounted/a").data == b"a", "it is back")
    wait_for(lambda: not node.get("/api/v1/node")["unshareable"], "and no trouble any more")
    with suppress(urllib3.exceptions.HTTPError):
        assert far.names() == {"mounted/a", "b", "c"}
