"""A node that is killed between two steps loses nothing of the user's, and leaves nothing behind."""

from __future__ import annotations

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
