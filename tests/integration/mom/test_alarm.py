"""A broker that is out of memory or disk takes no messages, says so, and is believed."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from minga_node.local.broker import PrivateBroker, private
from tests.nodes import Nodes
from tests.support.broker_end import End
from tests.support.rabbit import alarm
from tests.waiting import wait_for

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateBroker]:
    with private(tmp_path_factory.mktemp("broker")) as broker:
        yield broker


@pytest.fixture
def broker(running: PrivateBroker) -> Iterator[PrivateBroker]:
    """Without an alarm before and after."""
    yield running
    for resource in ("memory", "disk"):
        alarm(running, resource, on=False)


def tell_until_blocked(speaker: End) -> list[str]:
    """Ids of what was told. The broker says so to who publishes, once its connection has heard of the alarm,
    which may be after the first ones: those it takes.
    """
    ids: list[str] = []

    def blocked() -> bool:
        if not len(speaker.outbox):
            ids.extend(speaker.tell(len(ids)))
        return "blocked by the broker" in speaker.problem

    wait_for(blocked, "it says that it is blocked")
    return ids


@pytest.mark.parametrize(("resource", "words"), [("memory", "low on memory"), ("disk", "low on disk")])
def test_it_is_said_why_the_broker_takes_nothing_and_what_waits_is_told_afterwards(
    broker: PrivateBroker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, resource: str, words: str
) -> None:
    monkeypatch.setattr("minga_node.mom.address.HEARTBEAT_SECONDS", 1)
    monkeypatch.setattr("minga_node.mom.declaration_check.LOOK_SECONDS", 1.0)
    monkeypatch.setattr("minga_node.mom.session.ANSWER_SECONDS", 1.0)
    speaker = End(tmp_path, "speaker", broker.url).start()
    listener = End(tmp_path, "listener", broker.url).start()
    try:
        alarm(broker, resource, on=True)
        ids = tell_until_blocked(speaker)
        assert speaker.problem == f"blocked by the broker: {words}"
        ids += speaker.tell(*range(1000, 1050))
        # As long as heartbeats, a look and its answer take several times.
        time.sleep(8)
        assert speaker.problem == f"blocked by the broker: {words}"
        assert speaker.mom.connected
        assert (speaker.lapses, listener.lapses) == (1, 0)
        taken = len(ids) - len(speaker.outbox)
        assert listener.heard == ids[:taken]
        alarm(broker, resource, on=False)
        speaker.told()
        listener.hears(ids)
        assert speaker.problem == ""
        assert listener.heard == ids, "each once, in order"
    finally:
        speaker.stop()
        listener.stop()


def test_a_node_that_is_blocked_ends_without_waiting_for_the_broker(
    broker: PrivateBroker, tmp_path: Path
) -> None:
    speaker = End(tmp_path, "speaker", broker.url).start()
    alarm(broker, "memory", on=True)
    tell_until_blocked(speaker)
    began = time.monotonic()
    speaker.mom.stop()
    took = time.monotonic() - began
    alive = speaker.mom._link.worker.alive
    speaker.stop()
    assert not alive
    assert took < 4.0


def test_news_go_by_grpc_at_once_and_everybody_can_see_why(broker: PrivateBroker, nodes: Nodes) -> None:
    # Rounds of gossip would not bring them in time.
    config: dict[str, Any] = {
        "broker_url": broker.url,
        "gossip_seconds": 15,
        "suspect_seconds": 100,
        "dead_seconds": 200,
    }
    a = nodes.start("a", **config).ready()
    b = nodes.start("b", a, **config).ready()
    for node in (a, b):
        wait_for(lambda node=node: node.metric("minga_broker_connected") == 1, f"at the broker: {node.log}")  # type: ignore[misc]
    a.put("before.txt", b"x")
    wait_for(lambda: "before.txt" in b.names(), "it comes by the broker", 20)
    assert b.metric("minga_messages_total", direction="in", type="file.published") == 1
    alarm(broker, "memory", on=True)
    a.put("meanwhile.txt", b"x")
    wait_for(lambda: "meanwhile.txt" in b.names(), "the one that made the broker say so", 8)
    wait_for(lambda: a.metric("minga_broker_blocked") == 1, "the metric says so", 5)
    a.put("later.txt", b"x")
    wait_for(lambda: "later.txt" in b.names(), "those that follow", 8)
    assert b.metric("minga_messages_total", direction="in", type="file.published") == 1
    assert a.metric("minga_broker_connected") == 1
    assert a.request("GET", "/readyz").status == 200
    assert a.get("/api/v1/node")["broker_problem"] == "blocked by the broker: low on memory"
    doctor = minga(a.url, "--json", "doctor")
    (finding,) = [row for row in json.loads(doctor.stdout) if row["check"] == "broker"]
    assert finding["ok"] is False
    assert "blocked by the broker: low on memory" in finding["about"]
    assert "broker   blocked by the broker: low on memory" in minga(a.url, "status").stdout
    alarm(broker, "memory", on=False)
    wait_for(lambda: a.metric("minga_outbox_messages") == 0, "the broker has what waited", 20)
    assert a.metric("minga_broker_blocked") == 0
    assert a.get("/api/v1/node")["broker_problem"] == ""


def minga(url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "minga_node.cli", "--node", url, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
