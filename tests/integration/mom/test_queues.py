"""Queues that are full, or not as they should be, at a real broker."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import ChannelClosedByBroker

from minga_node.local.broker import PrivateBroker, private
from minga_node.mom.topology import Topology
from tests.nodes import Nodes, RunningNode
from tests.waiting import wait_for

pytestmark = pytest.mark.integration

TOPOLOGY = Topology("test")


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[PrivateBroker]:
    with private(tmp_path / "broker") as running:
        yield running


@pytest.fixture
def channel(broker: PrivateBroker) -> Iterator[BlockingChannel]:
    with pika.BlockingConnection(pika.URLParameters(broker.url)) as connection:
        yield connection.channel()


def count(channel: BlockingChannel, queue: str) -> int:
    found: int = channel.queue_declare(queue, passive=True).method.message_count
    return found


def connected(node: RunningNode) -> None:
    wait_for(lambda: node.metric("minga_broker_connected") == 1, f"at the broker:\n{node.log}")


def joined(id_: str, peer: str) -> bytes:
    event = {
        "specversion": "1.0", "id": id_, "type": "dev.minga.peer.joined",
        "source": f"/networks/test/peers/{peer}", "time": "2026-01-01T00:00:00Z",
        "data": {"peer": peer, "epoch": 1, "ip": "127.0.0.1", "port": 1, "grpc_port": 2, "data_port": 3,
                 "seed": False, "heartbeat": 1},
    }  # fmt: skip
    return json.dumps(event).encode()


def test_what_overflows_is_no_dead_letter_and_what_is_rejected_is(
    nodes: Nodes, broker: PrivateBroker, channel: BlockingChannel
) -> None:
    connected(nodes.start("a", broker_url=broker.url).ready())
    away = TOPOLOGY.event_queue("away")
    small = replace(away, arguments=away.arguments | {"x-max-length": 10})
    channel.queue_declare(small.name, durable=True, arguments=small.arguments)
    channel.queue_bind(small.name, TOPOLOGY.events, "#")
    channel.confirm_delivery()
    for number in range(50):
        channel.basic_publish(TOPOLOGY.events, "peer.nonsense", str(number).encode())
    assert count(channel, small.name) == 10
    # The node that is there rejects all of them; of the one that is away, those that were too many are gone.
    wait_for(lambda: count(channel, TOPOLOGY.dead) == 50, "50 letters of a")
    method, _, body = channel.basic_get(small.name)
    assert body == b"40", "the oldest had to go"
    assert method is not None
    channel.basic_nack(method.delivery_tag or 0, requeue=False)
    wait_for(lambda: count(channel, TOPOLOGY.dead) == 51, "one more, rejected")


def test_a_node_goes_on_without_the_queue_of_dead_letters(
    nodes: Nodes, broker: PrivateBroker, channel: BlockingChannel
) -> None:
    channel.queue_declare(TOPOLOGY.dead, durable=True, arguments={"x-max-length": 1})
    node = nodes.start("a", broker_url=broker.url).ready()
    connected(node)
    assert "no dead letters for now: " in node.log
    assert "Traceback" not in node.log
    node.put("x.txt", b"x")
    wait_for(lambda: node.metric("minga_outbox") == 0, "its events are told")
    # When the queue can be declared it is, without another connection.
    channel.queue_delete(TOPOLOGY.dead)
    wait_for(lambda: _there(broker, TOPOLOGY.dead), "declared after all")
    assert node.log.count("connected to the broker") == 1


def _there(broker: PrivateBroker, queue: str) -> bool:
    with pika.BlockingConnection(pika.URLParameters(broker.url)) as connection:
        try:
            connection.channel().queue_declare(queue, passive=True)
        except ChannelClosedByBroker:
            return False
    return True


def test_bindings_that_the_broker_lost_are_made_again(nodes: Nodes, broker: PrivateBroker) -> None:
    """As after a crash: the queues are there, and nothing is routed to them."""
    a = nodes.start("a", broker_url=broker.url).ready()
    b = nodes.start("b", a, broker_url=broker.url).ready()
    connected(a)
    connected(b)
    with pika.BlockingConnection(pika.URLParameters(broker.url)) as connection:
        channel = connection.channel()
        channel.queue_unbind(TOPOLOGY.event_queue("b").name, TOPOLOGY.events, "#")
        channel.queue_unbind(TOPOLOGY.job_queue("b").name, TOPOLOGY.jobs, "b")
    a.put("unheard.txt", b"x")
    wait_for(lambda: a.metric("minga_outbox_messages") == 0, "it is told, to nobody")
    wait_for(lambda: "unheard.txt" in b.names(), "gossip brings it")
    broker.stop()
    broker.start()
    connected(b)
    row = a.put("heard.txt", b"x")
    wait_for(lambda: b.metric("minga_messages_total", direction="in", type="file.published") == 1, "it came")
    asked = a.request("POST", "/api/v1/replications", json={"id": row["id"], "copies": 2})
    assert asked.status == 202, asked.data
    wait_for(lambda: (b.directory / "heard.txt").exists(), "the job came")


def test_a_job_whose_queue_was_removed_is_not_lost(
    nodes: Nodes, broker: PrivateBroker, channel: BlockingChannel
) -> None:
    a = nodes.start("a", broker_url=broker.url).ready()
    b = nodes.start("b", a, broker_url=broker.url).ready()
    connected(a)
    connected(b)

    def ask(name: str) -> None:
        row = a.put(name, name.encode())
        asked = a.request("POST", "/api/v1/replications", json={"id": row["id"], "copies": 2})
        assert asked.status == 202, asked.data

    ask("first.txt")
    wait_for(lambda: (b.directory / "first.txt").exists(), "the first job is done")
    channel.queue_unbind(TOPOLOGY.job_queue("b").name, TOPOLOGY.jobs, "b")
    ask("second.txt")
    wait_for(lambda: (b.directory / "second.txt").exists(), "the second one comes by a new binding")
    b.kill()
    channel.queue_delete(TOPOLOGY.job_queue("b").name)
    # It counts as alive for some seconds yet.
    ask("third.txt")
    wait_for(lambda: a.metric("minga_messages_total", direction="out", type="job.hold") >= 5, "sent twice")
    wait_for(lambda: a.metric("minga_outbox_messages") == 0, "the broker has it")
    b.launch()
    wait_for(lambda: (b.directory / "third.txt").exists(), "it waited in a new queue")


def test_a_queue_of_an_earlier_version_is_emptied_and_then_made_anew(
    nodes: Nodes, broker: PrivateBroker, channel: BlockingChannel
) -> None:
    own = TOPOLOGY.event_queue("a")
    earlier: dict[str, Any] = own.arguments | {"x-dead-letter-exchange": TOPOLOGY.dead}
    channel.queue_declare(own.name, durable=True, arguments=earlier)
    channel.basic_publish("", own.name, joined("1", "b"))
    node = nodes.start("a", broker_url=broker.url).ready()
    connected(node)
    # What waited is taken, from the queue as it is.
    wait_for(
        lambda: node.metric("minga_messages_total", direction="in", type="peer.joined") == 1, "the event"
    )
    wait_for(lambda: count(channel, own.name) == 0, "taken")
    channel.queue_declare(own.name, durable=True, arguments=earlier)
    # Empty, it is made anew.
    wait_for(lambda: "made anew" in node.log, f"another queue:\n{node.log}")
    wait_for(lambda: node.log.count("connected to the broker") == 2, "connected again")
    channel.queue_declare(own.name, durable=True, arguments=own.arguments)
    assert "Traceback" not in node.log
    with pytest.raises(ChannelClosedByBroker, match="PRECONDITION_FAILED"):
        channel.queue_declare(own.name, durable=True, arguments=earlier)
