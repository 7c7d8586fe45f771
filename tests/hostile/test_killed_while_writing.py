"""A node that is killed between two steps loses nothing of the user's, and leaves nothing behind."""

from __future__ import annotations

import os
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest
import urllib3

from tests.nodes import Nodes, RunningNode
from tests.waiting import wait_for

pytestmark = pytest.mark.integration

KILL = """
import os, signal
from minga_node import beneath
from minga_node.library import placing

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

whole = beneath.rename

def rename(old_folder, old, new_folder, new, flags):
    if flags == beneath.EXCHANGE and os.environ["DIES"] == "before":
        die()
    whole(old_folder, old, new_folder, new, flags)
    if flags == beneath.EXCHANGE:
        die()

beneath.rename = rename
"""


def put(node: RunningNode, name: str, body: bytes) -> None:
    with suppress(urllib3.exceptions.HTTPError):
        node.request("PUT", f"/files/{name}", body=body)
    node.process.wait(60)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("what", ["shared", "just saved"])
def test_what_a_killed_node_was_exchanging_is_the_users_or_is_gone(
    nodes: Nodes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str, what: str
) -> None:
    (tmp_path / "layer").mkdir()
    (tmp_path / "layer" / "sitecustomize.py").write_text(KILL)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "layer"))
    monkeypatch.setenv("DIES", when)
    files = {"sub/notes.txt": b"old", "other": b"other"}
    node = nodes.start("node", files=files, quiet_seconds=0.1 if what == "shared" else 3600)
    node.ready()
    if what == "shared":
        wait_for(lambda: len(node.names()) == 2, "they are shared")
    put(node, "sub/notes.txt", b"new" * 100_000)
    incoming = node.directory / ".minga" / "incoming"
    assert list(incoming.iterdir()), "something is left"
    (incoming / "users own.txt").write_bytes(b"who knows why")
    monkeypatch.delenv("PYTHONPATH")
    node.config["quiet_seconds"] = 0.1
    node.launch()
    node.ready()
    wait_for(lambda: [path.name for path in incoming.iterdir()] == ["users own.txt"], "it is clean")
    found = {path.name: path.read_bytes() for path in (node.directory / "sub").iterdir()}
    bodies = sorted(found.values())
    if when == "before":
        assert found == {"notes.txt": b"old"}
    elif what == "shared":
        assert found == {"notes.txt": b"new" * 100_000}
    else:
        assert bodies == [b"new" * 100_000, b"old"]
        assert found["notes.txt"] == b"new" * 100_000
        assert "was not shared yet when this node was killed" in node.log
    wait_for(lambda: len(node.names()) == len(found) + 1, "all is shared")


KILL_AT = """
import os, signal
from minga_node import beneath, disk
from minga_node.library import placing

def at(place):
    if os.environ["DIES"] == place:
        os.kill(os.getpid(), signal.SIGKILL)

def dying(module, name, before, after):
    whole = getattr(module, name)

    def act(*arguments):
        if before:
            at(before)
        result = whole(*arguments)
        at(after)
        return result

    setattr(module, name, act)

dying(placing, "copy", "before the copy", "after the copy")
placing.beneath = type("Beneath", (), dict(vars(beneath)))
for name in ("rename", "rename_new"):
    setattr(placing.beneath, name, staticmethod(getattr(beneath, name)))
dying(placing.beneath, "rename", "before the exchange", "after the exchange")
dying(placing.beneath, "rename_new", "before the rename", "after the rename")
"""


@pytest.fixture
def dying(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    (tmp_path / "layer").mkdir()
    (tmp_path / "layer" / "sitecustomize.py").write_text(KILL_AT)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "layer"))
    return monkeypatch


def visible(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != ".minga"}


def again(node: RunningNode, monkeypatch: pytest.MonkeyPatch) -> None:
    """Starts the node without what killed it, and waits until it has cleaned."""
    monkeypatch.delenv("PYTHONPATH")
    node.config["quiet_seconds"] = 0.1
    node.launch()
    node.ready()


@pytest.mark.parametrize("when", ["before the rename", "after the rename"])
def test_a_file_that_a_killed_node_was_removing_is_there_or_is_gone(
    nodes: Nodes, dying: pytest.MonkeyPatch, when: str
) -> None:
    dying.setenv("DIES", when)
    node = nodes.start("node", files={"sub/notes.txt": b"old"}, quiet_seconds=0.1)
    node.ready()
    wait_for(lambda: len(node.names()) == 1, "it is shared")
    with suppress(urllib3.exceptions.HTTPError):
        node.request("DELETE", "/files/sub/notes.txt")
    node.process.wait(60)
    again(node, dying)
    expected = {"notes.txt": b"old"} if when == "before the rename" else {}
    assert visible(node.directory / "sub") == expected
    wait_for(lambda: len(node.names()) == len(expected), "the others are told so")
    assert not list((node.directory / ".minga" / "incoming").iterdir())


def test_what_was_saved_as_a_killed_node_was_removing_its_name_gets_it_back(
    nodes: Nodes, dying: pytest.MonkeyPatch
) -> None:
    dying.setenv("DIES", "after the rename")
    node = nodes.start("node", files={"sub/notes.txt": b"old"}, quiet_seconds=0.1)
    node.ready()
    wait_for(lambda: len(node.names()) == 1, "it is shared")
    with suppress(urllib3.exceptions.HTTPError):
        node.request("DELETE", "/files/sub/notes.txt")
    node.process.wait(60)
    (hidden,) = (node.directory / "sub").iterdir()
    assert hidden.name.startswith(".")
    # As an editor does that had it open.
    hidden.write_bytes(b"saved at this moment")
    again(node, dying)
    assert visible(node.directory / "sub") == {"notes.txt": b"saved at this moment"}
    assert "was not shared yet when this node was killed" in node.log


@pytest.mark.root
@pytest.mark.parametrize(
    ("what", "when"),
    [
        ("new", "before the copy"),
        ("new", "after the copy"),
        ("new", "after the rename"),
        ("shared", "before the exchange"),
        ("shared", "after the exchange"),
        ("just saved", "after the copy"),
        ("just saved", "before the exchange"),
        ("just saved", "after the exchange"),
    ],
)
def test_what_a_killed_node_was_copying_to_another_mount_leaves_nothing_hidden(
    nodes: Nodes, tmp_path: Path, dying: pytest.MonkeyPatch, when: str, what: str
) -> None:
    volume, mounted = tmp_path / "volume", tmp_path / "files" / "sub"
    volume.mkdir()
    mounted.mkdir(parents=True)
    if what != "new":
        (volume / "notes.txt").write_bytes(b"old")
    bind = ["mount", "--bind", str(volume), str(mounted)]
    if os.geteuid() != 0 or subprocess.run(bind, capture_output=True).returncode:
        pytest.skip("needs root for a volume of its own")
    try:
        dying.setenv("DIES", when)
        quiet = 0.1 if what == "shared" else 3600
        node = nodes.start("node", directory=str(tmp_path / "files"), quiet_seconds=quiet).ready()
        if what == "shared":
            wait_for(lambda: len(node.names()) == 1, "it is shared")
        put(node, "sub/notes.txt", b"new" * 100_000)
        again(node, dying)
        found = visible(volume)
        assert not [name for name in found if name.startswith(".")], found
        assert not list((tmp_path / "files" / ".minga" / "incoming").iterdir())
        if when in {"after the exchange", "after the rename"}:
            assert found.pop("notes.txt") == b"new" * 100_000
            assert list(found.values()) == ([b"old"] if what == "just saved" else [])
        else:
            assert found == ({} if what == "new" else {"notes.txt": b"old"})
    finally:
        subprocess.run(["umount", "-l", str(mounted)], check=True)
