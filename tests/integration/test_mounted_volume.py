"""A volume that is mounted inside the library, to which nothing can be renamed from the rest of it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.nodes import Nodes
from tests.waiting import wait_for

pytestmark = [pytest.mark.integration, pytest.mark.root]


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Path]:
    """A directory whose folder ``shared`` is a file system of its own."""
    path = tmp_path / "files" / "shared"
    path.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", "size=16M", "tmpfs", str(path)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("needs root for a volume of its own")
    yield path.parent
    subprocess.run(["umount", "-l", str(path)], check=True)


def test_what_is_put_and_what_is_fetched_gets_there(nodes: Nodes, library: Path) -> None:
    here, there = os.urandom(300_000), os.urandom(5_000_000)
    far = nodes.start("far", files={"shared/there.bin": there}).ready()
    near = nodes.start("near", far, directory=str(library)).ready()
    near.put("shared/in/here.bin", here)
    wait_for(lambda: "shared/there.bin" in near.names(), "near knows it")
    near.fetch(name="shared/there.bin")
    assert near.request("GET", "/files/shared/in/here.bin").data == here
    assert near.request("GET", "/files/shared/there.bin").data == there
    found = {path.relative_to(library / "shared") for path in (library / "shared").rglob("*")}
    assert found == {Path("in"), Path("in/here.bin"), Path("there.bin")}
    assert list((library / ".minga" / "incoming").iterdir()) == []


def test_what_may_only_be_read_refuses_all_changes(nodes: Nodes, library: Path) -> None:
    (library / "shared" / "old.bin").write_bytes(b"old")
    subprocess.run(["mount", "-o", "remount,ro", str(library / "shared")], check=True)
    node = nodes.start("node", directory=str(library)).ready()
    wait_for(lambda: node.names() == {"shared/old.bin"}, "it is shared")
    for method, name in (
        ("PUT", "new.bin"),
        ("PUT", "in/new.bin"),
        ("PUT", "old.bin"),
        ("DELETE", "old.bin"),
    ):
        refused = node.request(method, f"/files/shared/{name}", body=b"new" if method == "PUT" else None)
        assert (refused.status, refused.json()["title"]) == (403, "This library can only be read"), (
            method,
            name,
        )
    assert node.request("GET", "/files/shared/old.bin").data == b"old"


def test_a_volume_on_the_same_file_system_takes_files(nodes: Nodes, tmp_path: Path) -> None:
    """As two volumes of one Kubernetes node are: one device, and still no rename from one to the other."""
    volume, library = tmp_path / "volume", tmp_path / "files"
    (volume / "llama").mkdir(parents=True)
    (volume / "llama" / "old.bin").write_bytes(b"old")
    mounted = library / "shared"
    mounted.mkdir(parents=True)
    bind = ["mount", "--bind", str(volume), str(mounted)]
    if os.geteuid() != 0 or subprocess.run(bind, capture_output=True).returncode:
        pytest.skip("needs root for a volume of its own")
    try:
        node = nodes.start("node", directory=str(library)).ready()
        wait_for(lambda: node.names() == {"shared/llama/old.bin"}, "it is shared")
        for name in ("new.bin", "llama/new.bin", "other/new.bin", "llama/old.bin"):
            node.put(f"shared/{name}", b"new")
            assert node.request("GET", f"/files/shared/{name}").data == b"new"
        found = {str(path.relative_to(volume)) for path in volume.rglob("*") if path.is_file()}
        assert found == {"new.bin", "llama/new.bin", "other/new.bin", "llama/old.bin"}
    finally:
        subprocess.run(["umount", "-l", str(mounted)], check=True)
