"""The network keeps as many copies as it is told to: real nodes, a real RabbitMQ."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from minga_node.local.broker import PrivateBroker, private
from tests.nodes import Nodes, RunningNode
from tests.waiting import wait_for

pytestmark = pytest.mark.integration

TARGET: dict[str, Any] = {"replication_target": 2, "replication_delay_seconds": 5}


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[PrivateBroker]:
    with private(tmp_path / "broker") as running:
        yield running


def copies(network: list[RunningNode], name: str) -> list[str]:
    """Who has a file, on the disk."""
    return [node.name for node in network if (node.directory / name).exists()]


def test_copies_are_made_and_made_again_when_a_holder_dies(nodes: Nodes, broker: PrivateBroker) -> None:
    first = nodes.start("a", broker_url=broker.url, **TARGET).ready()
    rest = [nodes.start(name, first, broker_url=broker.url, **TARGET) for name in ("b", "c", "d")]
    network = [first, *(node.ready() for node in rest)]
    names = {f"file-{n}.bin": os.urandom(100_000 + n) for n in range(8)}
    for name, content in names.items():
        network[1].put(name, content)
    wait_for(
        lambda: first.metric("minga_files_below_target") == 0 and first.names() == set(names), "two of each"
    )
    assert first.metric("minga_replication_target") == 2
    for name, content in names.items():
        holders = copies(network, name)
        assert len(holders) == 2, f"as many as wanted: {name} at {holders}"
        assert "b" in holders, "whose it is keeps it"
        for node in network:
            assert node.name not in holders or (node.directory / name).read_bytes() == content
    network[1].kill()
    living = [node for node in network if node is not network[1]]
    wait_for(lambda: first.metric("minga_files_below_target") == len(names), "the loss is seen")
    assert first.get("/api/v1/network")["files_below_target"] == len(names)
    wait_for(lambda: first.metric("minga_files_below_target") == 0, "two of each again", 90)
    assert all(len(copies(living, name)) == 2 for name in names)
    network[1].launch()
    network[1].ready()
    wait_for(lambda: len(first.get("/api/v1/files?q=file-0")["files"][0]["holders"]) == 3, "it is back")
    assert all(len(copies(network, name)) == 3 for name in names), "what it has stays"


def test_a_restart_moves_nothing(nodes: Nodes, broker: PrivateBroker) -> None:
    patient = {**TARGET, "replication_delay_seconds": 60}
    first = nodes.start("a", broker_url=broker.url, **patient).ready()
    network = [first, *(nodes.start(name, first, broker_url=broker.url, **patient) for name in ("b", "c"))]
    for node in network:
        node.ready()
    first.put("x.bin", os.urandom(10_000))
    wait_for(
        lambda: len(copies(network, "x.bin")) == 2 and first.metric("minga_files_below_target") == 0, "two"
    )
    (other,) = (node for node in network[1:] if (node.directory / "x.bin").exists())
    other.kill()
    wait_for(lambda: first.metric("minga_files_below_target") == 1, "it is known to be away")
    sent = first.metric("minga_messages_total", direction="out", type="job.hold")
    other.launch()
    other.ready()
    wait_for(lambda: first.metric("minga_files_below_target") == 0, "it is back")
    assert first.metric("minga_messages_total", direction="out", type="job.hold") == sent
    assert len(copies(network, "x.bin")) == 2
