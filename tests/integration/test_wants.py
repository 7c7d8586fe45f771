"""Wants outlive everybody who has to do with them: real nodes, a real RabbitMQ that is killed as well."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from minga_node.local.broker import PrivateBroker, private
from tests.nodes import Nodes, RunningNode
from tests.support.directories import state
from tests.support.witness import Witness
from tests.waiting import wait_for

pytestmark = pytest.mark.integration


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[PrivateBroker]:
    with private(tmp_path / "broker") as running:
        yield running


@pytest.fixture
def witness(broker: PrivateBroker) -> Witness:
    return Witness.of_a_broker_to_be_killed(broker, "test")


@pytest.fixture
def network(nodes: Nodes, broker: PrivateBroker) -> list[RunningNode]:
    """A wanter, who is the first, and somebody who will have it."""
    wanter = nodes.start("wanter", broker_url=broker.url).ready()
    holder = nodes.start("holder", wanter, broker_url=broker.url).ready()
    connected(wanter, holder)
    return [wanter, holder]


def connected(*network: RunningNode) -> None:
    for node in network:
        wait_for(lambda node=node: node.metric("minga_broker_connected") == 1, f"the broker of {node.name}")  # type: ignore[misc]


def want(node: RunningNode, **what: Any) -> str:
    response = node.request("POST", "/api/v1/wants", json=what)
    assert response.status == 201, response.data
    return str(response.json()["id"])


def heard(node: RunningNode) -> list[str]:
    """Ids of others' wants that a node keeps in mind, on its disk."""
    return [id_ for (id_,) in state(node, "SELECT id FROM heard_wants")]


def told(witness: Witness, kind: str) -> list[dict[str, Any]]:
    """Each event once: one whose confirmation was lost with the broker is told again, with its id."""
    witness.hear()
    events = {event["id"]: event for event in map(json.loads, witness.bodies)}
    return [event["data"] for event in events.values() if event["type"] == f"dev.minga.want.{kind}"]


def test_a_want_outlives_the_broker_the_wanter_and_who_satisfies_it(
    witness: Witness, network: list[RunningNode], broker: PrivateBroker
) -> None:
    wanter, holder = network
    id_ = want(wanter, name="rare.bin", fetch=True)
    wait_for(lambda: heard(holder) == [id_], "the other one has heard of it")
    broker.kill()
    holder.kill()
    wanter.kill()
    broker.start()
    for node in network:
        node.launch()
    for node in network:
        node.ready()
    connected(*network)
    assert wanter.get(f"/api/v1/wants/{id_}")["state"] == "waiting"
    holder.put("rare.bin", b"rare")
    wait_for(lambda: wanter.get(f"/api/v1/wants/{id_}")["state"] == "available", "it is satisfied")
    assert wanter.get(f"/api/v1/wants/{id_}")["found_peer"] == "holder"
    wait_for(lambda: (wanter.directory / "rare.bin").exists(), "and fetched")
    wait_for(lambda: told(witness, "satisfied"), "it is told")
    assert len(told(witness, "placed")) == 1
    (satisfied,) = told(witness, "satisfied")
    assert (satisfied["peer"], satisfied["wanter"], satisfied["want"]) == ("holder", "wanter", id_)
    assert heard(holder) == []
    shown = subprocess.run(
        [sys.executable, "-m", "minga_node.cli", "--node", wanter.url, "wants"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "available" in shown
    assert "holder" in shown


def test_a_want_that_is_placed_without_a_broker_is_told_when_it_is_back(
    network: list[RunningNode], broker: PrivateBroker
) -> None:
    wanter, holder = network
    broker.kill()
    wait_for(lambda: wanter.metric("minga_broker_connected") == 0, "the broker is away")
    id_ = want(wanter, id="ab" * 32)
    assert heard(holder) == []
    broker.start()
    wait_for(lambda: heard(holder) == [id_], "it is heard of")


def test_a_want_that_was_withdrawn_or_has_expired_is_not_satisfied(
    network: list[RunningNode], broker: PrivateBroker
) -> None:
    wanter, holder = network
    witness = Witness(broker.url, "test")
    withdrawn, open_ = want(wanter, name="late.bin"), want(wanter, name="late.bin")
    expired = want(wanter, name="late.bin", seconds=2)
    wait_for(lambda: {withdrawn, open_} <= set(heard(holder)), "they are heard of")
    assert wanter.request("DELETE", f"/api/v1/wants/{withdrawn}").status == 200
    wait_for(lambda: heard(holder) == [open_], "one was withdrawn, one has expired")
    wait_for(lambda: wanter.get(f"/api/v1/wants/{expired}")["state"] == "expired", "its wanter notices, too")
    holder.put("late.bin", b"late")
    wait_for(lambda: told(witness, "satisfied"), "the open one is satisfied")
    assert [event["want"] for event in told(witness, "satisfied")] == [open_]
    states = {each["id"]: each["state"] for each in wanter.get("/api/v1/wants")["wants"]}
    assert states == {withdrawn: "withdrawn", expired: "expired", open_: "available"}
