"""Everybody knows, soon, whatever is down: sixteen real nodes and a real RabbitMQ, taken away from them."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from typing import Any

import pytest

from minga_node.local.broker import PrivateBroker, private
from tests.nodes import Nodes, RunningNode
from tests.support.directories import known, state, told, union
from tests.support.witness import Follower, Witness
from tests.waiting import wait_for

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

COUNT = 16
SLOW: dict[str, Any] = {"gossip_seconds": 0.5, "suspect_seconds": 10, "dead_seconds": 20}
"""Sixteen processes share the cores of a small machine."""


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateBroker]:
    with private(tmp_path_factory.mktemp("broker")) as running:
        yield running


@pytest.fixture(scope="module")
def witness(broker: PrivateBroker) -> Witness:
    """Was there before everybody else."""
    return Witness.of_a_broker_to_be_killed(broker, "test")


@pytest.fixture(scope="module")
def network(
    tmp_path_factory: pytest.TempPathFactory, broker: PrivateBroker, witness: Witness
) -> Iterator[list[RunningNode]]:
    """Sixteen nodes that are connected to the broker. They start once; each test leaves them well."""
    nodes = Nodes(tmp_path_factory.mktemp("nodes"))
    try:
        first = nodes.start("node-00", broker_url=broker.url, **SLOW).ready(60)
        for number in range(1, COUNT):
            nodes.start(f"node-{number:02d}", first, broker_url=broker.url, **SLOW)
        for node in nodes.all:
            node.ready(180)
        connected(nodes.all)
        yield nodes.all
    finally:
        nodes.stop()


def connected(network: list[RunningNode], state: int = 1) -> None:
    for node in network:
        wait_for(
            lambda node=node: node.metric("minga_broker_connected") == state,  # type: ignore[misc]
            f"the broker of {node.name}: {state}",
            every=0.2,
        )


def equal(network: list[RunningNode], what: str) -> None:
    """Waits until every index is the union of the directories."""
    wanted = union(network)
    for node in network:
        wait_for(lambda node=node: known(node) == wanted, f"{what}: {node.name}", 120, every=0.5)  # type: ignore[misc]


def test_a_file_is_searchable_at_sixteen_nodes_with_the_broker_and_without(
    network: list[RunningNode], broker: PrivateBroker
) -> None:
    network[5].put("with-broker.txt", b"x")
    wait_for(lambda: all(n.names("with-broker") for n in network), "all find it")
    broker.stop()
    connected(network, 0)
    network[11].put("without-broker.txt", b"x")
    wait_for(lambda: all(n.names("without-broker") for n in network), "all find it")
    broker.start()
    connected(network)


@pytest.mark.parametrize("seconds", [5, pytest.param(60, marks=pytest.mark.slow)])
def test_after_an_outage_with_a_killed_node_every_index_is_the_union_and_no_event_is_lost_or_counts_twice(
    network: list[RunningNode], broker: PrivateBroker, witness: Witness, seconds: int
) -> None:
    dice = random.Random(seconds)
    for node in network:
        for number in range(3):
            (node.directory / f"{node.name}-{number}.txt").write_text(f"{seconds} {number}")
    equal(network, "before")
    before = told(network)
    killed = network[dice.randrange(1, COUNT)]
    followers = [Follower(node) for node in network if node is not killed]

    def change() -> None:
        node = dice.choice(network)
        path = node.directory / f"file-{dice.randrange(40)}.txt"
        if dice.random() < 0.3:
            path.unlink(missing_ok=True)
        else:
            path.write_text(f"{dice.random()}")

    def change_until(moment: float) -> None:
        while time.monotonic() < moment:
            change()
            time.sleep(0.05)

    began = time.monotonic()
    change_until(began + 0.5)
    broker.kill()
    change_until(began + seconds / 2)
    killed.kill()
    change_until(began + seconds)
    broker.start()
    change_until(time.monotonic() + 0.5)
    killed.launch()
    killed.ready(60)
    equal(network, "after")
    connected(network)

    for node in network:
        wait_for(
            lambda node=node: state(node, "SELECT count(*) FROM outbox") == [(0,)],  # type: ignore[misc]
            f"the outbox of {node.name} is empty",
            every=0.2,
        )
    everything = told(network)

    witness.hear()
    missing, invented = everything - set(witness.ids()), set(witness.ids()) - everything
    assert not missing, f"every event was told, but {by_node(missing)}"
    assert not invented, f"what is in no log was not told, but {by_node(invented)}"
    assert len(everything - before) > 10 * seconds / 2, "there was something to lose"

    # Once more, to everybody: what had its effect has none.
    heard = {node.name: heard_events(node) for node in network}
    again = witness.tell_again()
    for node in network:
        wait_for(
            lambda node=node: heard_events(node) >= heard[node.name] + again,  # type: ignore[misc]
            f"{node.name} has heard everything again",
            every=0.2,
        )
        assert node.metric("minga_messages_repeated_total") >= again * 0.9 * (COUNT - 1) / COUNT
    equal(network, "after all was told twice")
    for follower in followers:
        twice = {id_: count for id_, count in follower.ids.items() if count > 1}
        assert not twice, f"had an effect twice at {follower.node.name}"
        assert set(follower.ids) <= everything
        assert len(follower.ids) > 10, "it was followed"


def by_node(ids: set[str]) -> dict[str, list[int]]:
    """Versions of events, to be read by a person."""
    found: dict[str, list[int]] = {}
    for id_ in ids:
        node, _, version = id_.split(".")
        found.setdefault(node, []).append(int(version))
    return {node: sorted(versions) for node, versions in sorted(found.items())}


def heard_events(node: RunningNode) -> float:
    """Messages that came through the broker to a node."""
    kinds = ("file.published", "file.removed", "peer.joined", "peer.left", "transfer.completed")
    return sum(node.metric("minga_messages_total", direction="in", type=kind) for kind in kinds)
