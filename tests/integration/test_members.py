"""What a user sees of members, and does about them: ``minga peers --forget`` and ``minga doctor``."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.nodes import Nodes
from tests.support.shell import Shell
from tests.waiting import wait_for

pytestmark = pytest.mark.integration


def test_a_dead_peer_is_forgotten_on_demand_and_a_living_one_is_not(nodes: Nodes, tmp_path: Path) -> None:
    one = nodes.start("one").ready()
    two = nodes.start("two", one, files={"of two.txt": b"2"}).ready()
    three = nodes.start("three", one).ready()
    wait_for(lambda: one.names() == {"of two.txt"}, "one knows the file")
    minga = Shell(tmp_path, one.url)
    checks = [found for found in minga.json("doctor") if found["check"] == "reach"]
    assert [(found["ok"], found["about"]) for found in checks] == [(True, "2 of 2 peers, in both directions")]
    ended = minga.run("peers", "--forget", "two")
    assert ended.returncode == 1
    assert b"only who is dead or left can be forgotten" in ended.stderr
    minga("peers", "--forget", "nobody", expect=3)
    two.kill()
    wait_for(
        lambda: {peer["id"]: peer["state"] for peer in one.get("/api/v1/peers")["peers"]}["two"] == "dead",
        "two is dead",
    )
    assert "two is forgotten" in minga("peers", "--forget", "two")
    # The others still know it: what they say of it is no news.
    wait_for(
        lambda: (
            [peer["id"] for peer in one.get("/api/v1/peers")["peers"]] == ["three"] and one.names() == set()
        ),
        "two and its file are gone",
    )
    assert three.names() == {"of two.txt"}
    two.launch()
    wait_for(lambda: one.names() == {"of two.txt"}, "two is back when it lives again")
