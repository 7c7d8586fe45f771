"""A node that is to go hands over what only it has."""

from __future__ import annotations

import os
from typing import Any

import pytest

from tests.nodes import Nodes, RunningNode
from tests.waiting import wait_for

pytestmark = pytest.mark.integration


def drain(node: RunningNode, **body: Any) -> None:
    assert node.request("POST", "/api/v1/drain", json=body).status == 202


def done(node: RunningNode) -> bool:
    return bool(node.get("/api/v1/drain")["done"])


def test_only_copies_are_taken_over_and_others_are_not(nodes: Nodes) -> None:
    shared, own = os.urandom(200_000), os.urandom(3_000_000)
    seed = nodes.start("seed", files={"shared.bin": shared}, seed=True).ready()
    going = nodes.start("going", seed, files={"shared.bin": shared, "own.bin": own, "a/b.txt": b"b"}).ready()
    wait_for(lambda: going.names() == {"shared.bin", "own.bin", "a/b.txt"}, "the library")
    wait_for(lambda: seed.names() == {"shared.bin", "own.bin", "a/b.txt"}, "the index of the seed")
    assert going.get("/api/v1/drain") == {"draining": False, "done": False, "files": 0, "bytes": 0}
    drain(going)
    wait_for(lambda: done(going), "the end of the drain")
    assert (seed.directory / "own.bin").read_bytes() == own
    assert (seed.directory / "a/b.txt").read_bytes() == b"b"
    names = {item["name"] for item in seed.get("/api/v1/downloads")["downloads"]}
    assert names == {"own.bin", "a/b.txt"}


def test_copies_of_those_who_leave_too_do_not_count(nodes: Nodes) -> None:
    content = os.urandom(500_000)
    seed = nodes.start("seed", seed=True).ready()
    first = nodes.start("first", seed, files={"x.bin": content}).ready()
    second = nodes.start("second", seed, files={"x.bin": content}).ready()
    wait_for(lambda: seed.names() == {"x.bin"} and second.names() == {"x.bin"}, "the index")
    for node in (first, second):
        drain(node, leaving=["first", "second"])
    wait_for(lambda: done(first) and done(second), "the end of both drains")
    assert (seed.directory / "x.bin").read_bytes() == content


def test_what_nobody_can_take_is_counted(nodes: Nodes) -> None:
    alone = nodes.start("alone", files={"x.bin": b"12345"}).ready()
    wait_for(lambda: alone.names() == {"x.bin"}, "the library")
    drain(alone)
    state = wait_for(
        lambda: (found := alone.get("/api/v1/drain"))["files"] == 1 and found, "the count of only copies"
    )
    assert state == {"draining": True, "done": False, "files": 1, "bytes": 5}


@pytest.mark.parametrize("body", [b"[]", b'{"leaving": "x"}', b'{"to": []}', b"{"])
def test_nonsense_is_refused(nodes: Nodes, body: bytes) -> None:
    node = nodes.start("alone").ready()
    assert node.request("POST", "/api/v1/drain", body=body).status == 400
    assert node.get("/api/v1/drain")["draining"] is False


def test_a_node_that_has_not_looked_at_its_directory_yet_is_not_done(nodes: Nodes) -> None:
    """As after a restart without its state: what is not in the index may still be only here."""
    files = {"x.bin": b"12345"}
    alone = nodes.start("alone", files=files, quiet_seconds=5).ready()
    drain(alone)
    state = wait_for(
        lambda: (found := alone.get("/api/v1/drain"))["files"] + found["done"] and found,
        "an only copy, or the end of the drain",
        30,
    )
    assert (state["files"], state["done"]) == (1, False)
