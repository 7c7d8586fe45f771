"""What a node says of the whole network."""

from __future__ import annotations

import pytest

from tests.nodes import Nodes
from tests.waiting import wait_for

pytestmark = pytest.mark.integration


def test_every_node_counts_the_whole_network(nodes: Nodes) -> None:
    seed = nodes.start("seed", files={"a.txt": b"12", "same.txt": b"345"}, seed=True).ready()
    other = nodes.start("other", seed, files={"same.txt": b"345", "b.txt": b"6789"}).ready()
    expected = {
        "name": "test", "files": 3, "bytes": 9, "peers_alive": 1,
        "replication_target": 1, "files_below_target": 0,
    }  # fmt: skip
    for node in (seed, other):
        wait_for(lambda node=node: node.get("/api/v1/network") == expected, f"the totals of {node.name}")  # type: ignore[misc]
