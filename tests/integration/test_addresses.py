"""A node whose address comes late, and changes: in network namespaces of its own (RFC 2544)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import urllib3

from tests.bench.netns import Leaf, Star, entered, missing, run
from tests.nodes import Nodes, RunningNode
from tests.waiting import wait_for

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(missing() is not None, reason=str(missing())),
]


@pytest.fixture
def leaves() -> Iterator[list[Leaf]]:
    with Star([1e9, 1e9]) as star:
        yield star.leaves


def ask(leaf: Leaf, node: RunningNode, path: str) -> Any:
    """JSON of a GET within the namespace; None while there is no answer."""
    with entered(leaf.namespace), urllib3.PoolManager(retries=False, timeout=5) as pool:
        try:
            return json.loads(pool.request("GET", f"http://127.0.0.1:{node.config['port']}{path}").data)
        except urllib3.exceptions.HTTPError:
            return None


def hosts(leaf: Leaf, node: RunningNode) -> dict[str, tuple[str, str]]:
    said = ask(leaf, node, "/api/v1/peers")
    return {peer["id"]: (peer["host"], peer["state"]) for peer in said["peers"]} if said else {}


def start(nodes: Nodes, leaf: Leaf, name: str, *seeds: str) -> RunningNode:
    return nodes.start(
        name,
        ip="0.0.0.0",
        port=5000,
        grpc_port=50051,
        seed_peer=list(seeds),
        prefix=tuple(leaf.prefix),
    )


def test_an_address_that_comes_late_or_changes_is_told(nodes: Nodes, leaves: list[Leaf]) -> None:
    here, there = leaves
    seed = start(nodes, here, "seed")
    run("ip", "-n", there.namespace, "addr", "del", f"{there.address}/15", "dev", "eth0")
    late = start(nodes, there, "late", f"http://{here.address}:5000")
    wait_for(lambda: ask(there, late, "/healthz"), "it serves without a network")
    assert ask(there, late, "/api/v1/node")["host"] == "127.0.0.1"
    assert ask(there, late, "/readyz")["status"] == 503
    run("ip", "-n", there.namespace, "addr", "add", f"{there.address}/15", "dev", "eth0")
    wait_for(lambda: hosts(here, seed).get("late") == (there.address, "alive"), "its address is known")
    wait_for(lambda: ask(there, late, "/readyz")["status"] == "ready", "it is ready")
    other = "198.18.7.7"
    run("ip", "-n", there.namespace, "addr", "del", f"{there.address}/15", "dev", "eth0")
    run("ip", "-n", there.namespace, "addr", "add", f"{other}/15", "dev", "eth0")
    wait_for(lambda: hosts(here, seed).get("late") == (other, "alive"), "its new address is known", 120)


def test_a_node_that_others_cannot_reach_is_not_ready(nodes: Nodes, leaves: list[Leaf]) -> None:
    here, there = leaves
    start(nodes, here, "seed")
    wrong = nodes.start(
        "wrong",
        ip="0.0.0.0",
        port=5000,
        grpc_port=50051,
        advertise="127.0.0.1",
        seed_peer=[f"http://{here.address}:5000"],
        prefix=tuple(there.prefix),
    )

    def said() -> str:
        answer = ask(there, wrong, "/readyz")
        return str(answer.get("detail", "")) if answer else ""

    wait_for(lambda: "which only this machine can" in said(), "it says so")
