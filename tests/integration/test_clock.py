"""A wall clock that jumps while a node runs, by hours and by years, forward and back; and over a restart."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.nodes import Nodes, RunningNode, free_port
from tests.waiting import wait_for

pytestmark = pytest.mark.integration


class Clock:
    """Of the processes that are begun with :attr:`prefix` (libfaketime); their monotonic clocks go right."""

    def __init__(self, place: Path) -> None:
        libraries = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
        if not libraries:
            pytest.skip("needs libfaketime")
        self._file = place / "clock"
        self.jump("+0")
        self.prefix = (
            "env",
            f"LD_PRELOAD={libraries[0]}",
            f"FAKETIME_TIMESTAMP_FILE={self._file}",
            "FAKETIME_NO_CACHE=1",
            "FAKETIME_DONT_FAKE_MONOTONIC=1",
            "NO_FAKE_STAT=1",
        )

    def jump(self, off: str) -> None:
        """So far from the true time, such as ``+3y``."""
        self._file.write_text(off)


@pytest.fixture
def clock(tmp_path: Path) -> Clock:
    return Clock(tmp_path)


def peers(node: RunningNode) -> dict[str, tuple[str, str]]:
    return {each["id"]: (each["state"], each["answers"]) for each in node.get("/api/v1/peers")["peers"]}


def test_a_clock_that_jumps_keeps_no_file_and_no_peer_away(nodes: Nodes, clock: Clock) -> None:
    far = nodes.start("far").ready()
    node = nodes.start("node", far, prefix=clock.prefix).ready()
    for off in ("+5h", "-5h", "+3y", "-3y", "+9y", "-30y", "+0"):
        clock.jump(off)
        (node.directory / f"copied {off}").write_bytes(b"copied")
        node.put(f"put {off}", b"put")
        far.put(f"far {off}", b"far" * 30_000)
        wait_for(lambda: {f"copied {off}", f"put {off}"} <= far.names(), f"its files are known ({off})")  # noqa: B023
        wait_for(lambda: f"far {off}" in node.names(), f"it knows the other's ({off})")  # noqa: B023
        assert node.fetch(name=f"far {off}")["state"] == "complete"
        assert far.fetch(name=f"put {off}")["state"] == "complete"
        assert peers(node)["far"] == peers(far)["node"] == ("alive", "yes")
    assert " is dead" not in node.log + far.log


def test_a_clock_that_cannot_be_right_is_said(nodes: Nodes, clock: Clock) -> None:
    node = nodes.start("node", prefix=clock.prefix).ready()
    clock.jump("-30y")
    answer = node.request("GET", "/readyz")
    assert answer.status == 503
    assert "this node's clock shows" in answer.json()["detail"]
    clock.jump("+0")
    node.ready()


@pytest.mark.parametrize("end", [RunningNode.kill, RunningNode.terminate])
def test_a_node_that_began_in_the_future_is_found_at_its_next_address(
    nodes: Nodes, clock: Clock, end: Callable[[RunningNode], object]
) -> None:
    far = nodes.start("far").ready()
    clock.jump("+3y")
    node = nodes.start("node", far, prefix=clock.prefix).ready()
    wait_for(lambda: peers(far).get("node") == ("alive", "yes"), "it is known")
    end(node)
    clock.jump("+0")
    node.config |= {"port": free_port(), "grpc_port": free_port()}
    node.launch()
    node.ready().put("after", b"after" * 1000)
    wait_for(lambda: "after" in far.names(), "its file is known")
    assert far.fetch(name="after")["state"] == "complete"
    wait_for(lambda: peers(far)["node"] == ("alive", "yes"), "it answers")
