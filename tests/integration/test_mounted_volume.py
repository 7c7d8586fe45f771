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
