"""A network that is cut in two: real nodes in network namespaces, and the cable between them pulled."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.bench import netns
from tests.nodes import RunningNode
from tests.support.directories import known, union
from tests.support.sides import NodeIn, Sides
from tests.waiting import wait_for

PROBLEM = netns.missing()
pytestmark = [
    pytest.mark.integration,
    pytest.mark.root,
    pytest.mark.skipif(PROBLEM is not None, reason=str(PROBLEM)),
]

SIZE = 4
GOSSIP_SECONDS = 0.5
FEW = 12
"""Rounds until all are equal, at most; on an idle machine it is one to four. Others share this one."""
CONFIG: dict[str, Any] = {
    "port": 5000, "grpc_port": 5001, "data_port": 5002, "network": "test", "quiet_seconds": 0.1,
    "gossip_seconds": GOSSIP_SECONDS, "suspect_seconds": 2, "dead_seconds": 4,
}  # fmt: skip


@pytest.fixture
def cable() -> Iterator[Sides]:
    with Sides(SIZE) as sides:
        yield sides


@pytest.fixture
def sides(cable: Sides, tmp_path: Path) -> Iterator[list[list[RunningNode]]]:
    """Nodes on both sides that all know each other."""
    made: list[list[RunningNode]] = [[], []]
    seeds: list[str] = []
    try:
        for side, leaves in enumerate(cable.leaves):
            for number, leaf in enumerate(leaves):
                name = f"side{side}-node{number}"
                config = {**CONFIG, "seed_peer": seeds, "directory": str(tmp_path / name / "files")}
                made[side].append(NodeIn(leaf, name, tmp_path / name, config))
                seeds = [made[0][0].url]
        network = made[0] + made[1]
        for node in network:
            node.ready()
        online(network, 2 * SIZE - 1)
        yield made
    finally:
        for node in made[0] + made[1]:
            node.kill()


def online(network: list[RunningNode], count: int) -> None:
    for node in network:
        wait_for(
            lambda node=node: node.get("/api/v1/node")["peers_alive"] == count,  # type: ignore[misc]
            f"{node.name} sees {count} others",
            every=0.1,
        )


def equal(network: list[RunningNode], wanted: dict[str, set[str]]) -> None:
    for node in network:
        wait_for(
            lambda node=node: known(node) == wanted,  # type: ignore[misc]
            f"the index of {node.name}",
            every=0.05,
        )


def available(node: RunningNode, name: str) -> bool:
    return any(row["available"] for row in node.get(f"/api/v1/files?name={name}")["files"])


def test_both_sides_go_on_and_are_equal_within_a_few_rounds_of_the_healing(
    cable: Sides, sides: list[list[RunningNode]], record_property: Any
) -> None:
    network = sides[0] + sides[1]
    for node in network:
        node.put(f"{node.name}/before.txt", b"before")
    equal(network, union(network))
    cable.cut()
    for side in sides:
        online(side, SIZE - 1)
    for number, node in enumerate(network):
        node.put(f"{node.name}/during.txt", node.name.encode())
        node.put("everybodys.txt", f"of {number}".encode())
        assert node.request("DELETE", f"/files/{node.name}/before.txt").status == 204
    old = {f"{node.name}/before.txt": {node.name} for node in network}
    for here, there in (sides, sides[::-1]):
        # What is known of the others stays as it was; their files have no holder online.
        of_others = {name: held for name, held in old.items() if held <= {node.name for node in there}}
        equal(here, union(here) | of_others)
        name = f"{there[0].name}/before.txt"
        wait_for(
            lambda node=here[0], name=name: not available(node, name),  # type: ignore[misc]
            "it has no holder online",
        )
    cable.heal()
    began = time.monotonic()
    equal(network, union(network))
    rounds = (time.monotonic() - began) / GOSSIP_SECONDS
    record_property("rounds", rounds)
    print(f"equal {rounds:.1f} rounds after the healing")
    assert rounds < FEW
    online(network, 2 * SIZE - 1)
    choices = sides[0][0].get("/api/v1/files?name=everybodys.txt")["files"]
    assert len(choices) == 2 * SIZE, "each side's word on a name is kept"
    fetched = sides[0][1].fetch(name=f"{sides[1][1].name}/during.txt")
    assert fetched["state"] == "complete"
