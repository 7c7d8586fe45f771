"""What somebody takes away at the broker is noticed and made again, by a node that keeps running."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import ChannelClosedByBroker, UnroutableError

from minga_node.errors import StorageFailed, StorageFull
from minga_node.events import Event
from minga_node.local.broker import PrivateBroker, private
from minga_node.mom.topology import Topology
from tests.support.broker_end import End
from tests.waiting import wait_for

pytestmark = pytest.mark.integration

OFTEN = 2.0
"""Seconds between two looks of a node, at most."""


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateBroker]:
    with private(tmp_path_factory.mktemp("broker")) as running:
        yield running


@pytest.fixture
def channel(broker: PrivateBroker) -> Iterator[BlockingChannel]:
    with pika.BlockingConnection(pika.URLParameters(broker.url)) as connection:
        yield connection.channel()


@pytest.fixture
def pair(broker: PrivateBroker, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[tuple[End, End]]:
    """A speaker and a listener, who look after their queues now and then, or seldom."""
    seconds = getattr(request, "param", OFTEN)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("minga_node.mom.declaration_check.LOOK_SECONDS", seconds)
        patch.setattr("minga_node.mom.declaration_check.LOOK_TWICE_SECONDS", 0.2)
        ends = [End(tmp_path, name, broker.url) for name in ("speaker", "listener")]
        for end in ends:
            end.start()
        yield ends[0], ends[1]
        for end in ends:
            end.stop()


@pytest.mark.parametrize("pair", [1000.0], indirect=True)
@pytest.mark.parametrize("kind", ["events", "jobs"])
def test_a_consumer_that_the_broker_cancels_is_back_at_once(
    pair: tuple[End, End], broker: PrivateBroker, channel: BlockingChannel, tmp_path: Path, kind: str
) -> None:
    speaker, listener = pair
    listener.hears(speaker.tell(1))
    topology = Topology(tmp_path.name)
    queues = topology.event_queue("listener").name, topology.job_queue("listener").name
    wait_for(lambda: all(consumers(broker, name) == 1 for name in queues), "both are consumed", 30)
    channel.queue_delete(f"minga.{tmp_path.name}.{kind}.listener")
    if kind == "events":
        wait_for(lambda: listener.lapses == 1, "it says that it is not connected")
        listener.connected(10)
    wait_for(lambda: all(consumers(broker, name) == 1 for name in queues), "both are consumed again", 30)
    listener.hears(speaker.tell(2))
    assert listener.lapses == (kind == "events"), "jobs are no reason to be away"


@pytest.mark.parametrize("pair", [1000.0], indirect=True)
def test_a_queue_of_jobs_that_is_lost_costs_no_event(
    pair: tuple[End, End], broker: PrivateBroker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RabbitMQ 3.10 loses a quorum queue that is new when it is killed, and never answers its consumer."""
    monkeypatch.setattr("minga_node.mom.job_queue.ANSWER_SECONDS", 3.0)
    monkeypatch.setattr("minga_node.mom.job_queue.LONGEST_PAUSE", 1.0)
    speaker, _ = pair
    late = [End(tmp_path, f"late{number}", broker.url).start() for number in range(3)]
    try:
        broker.kill()
        broker.start()
        for end in (speaker, *late):
            end.connected()
        for end in late:
            end.hears(speaker.tell(1))
        topology = Topology(tmp_path.name)
        lost = []
        for end in late:
            name = topology.job_queue(end.name).name
            wait_for(lambda end=end, name=name: end.problem or consumers(broker, name), "it is known")  # type: ignore[misc]
            if end.problem:
                lost.append((end, name))
        if not lost:
            pytest.skip("this RabbitMQ lost no queue")
        for end, name in lost:
            end.says(f"no jobs come from the queue {name}")
            assert end.mom.state.carries
            assert end.lapses == 1, "once, with the broker"
            with pika.BlockingConnection(pika.URLParameters(broker.url)) as connection:
                connection.channel().queue_delete(name)
            wait_for(lambda end=end: not end.problem, "jobs come again")  # type: ignore[misc]
    finally:
        for end in late:
            end.stop()


def consumers(broker: PrivateBroker, queue: str) -> int:
    """Of a queue; none where it is not there."""
    with pika.BlockingConnection(pika.URLParameters(broker.url)) as connection:
        try:
            return int(connection.channel().queue_declare(queue, passive=True).method.consumer_count)
        except ChannelClosedByBroker:
            return 0


def routes(broker: PrivateBroker, exchange: str, key: str) -> bool:
    """Whether an exchange is there and has a queue for a message."""
    with pika.BlockingConnection(pika.URLParameters(broker.url)) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        properties = pika.BasicProperties(expiration="1")
        try:
            channel.basic_publish(exchange, key, b"nonsense", properties, mandatory=True)
        except (UnroutableError, ChannelClosedByBroker):
            return False
        return True


@pytest.mark.parametrize(("kind", "key"), [("events", "peer.left"), ("jobs", "listener"), ("dead", "")])
def test_an_exchange_that_was_removed_is_made_again_with_its_bindings(
    pair: tuple[End, End],
    broker: PrivateBroker,
    channel: BlockingChannel,
    tmp_path: Path,
    kind: str,
    key: str,
) -> None:
    exchange = f"minga.{tmp_path.name}.{kind}"
    assert routes(broker, exchange, key)
    channel.exchange_delete(exchange)
    # Nodes say nothing meanwhile, so no error tells them: they have to look.
    wait_for(lambda: routes(broker, exchange, key), f"{exchange} is there, and routes", 30, every=0.2)
    assert [end.lapses for end in pair] == [0, 0]


def test_what_the_broker_lost_of_the_bindings_is_bound_again_by_a_node_that_runs(
    pair: tuple[End, End], channel: BlockingChannel, tmp_path: Path
) -> None:
    speaker, listener = pair
    topology = Topology(tmp_path.name)
    channel.queue_unbind(topology.event_queue("listener").name, topology.events, "#")
    number = 0

    def hears_again() -> bool:
        nonlocal number
        number += 1
        speaker.tell(number)
        return bool(listener.heard)

    wait_for(hears_again, "the listener hears again", 30, every=0.2)
    assert listener.lapses == 0


def test_a_queue_that_somebody_else_consumes_alone_is_said_and_waited_for(
    broker: PrivateBroker, channel: BlockingChannel, tmp_path: Path
) -> None:
    topology = Topology(tmp_path.name)
    queue = topology.event_queue("late")
    channel.queue_declare(queue.name, durable=True, arguments=queue.arguments)
    tag = channel.basic_consume(queue.name, lambda *_: None, exclusive=True)
    late = End(tmp_path, "late", broker.url).begin()
    try:
        late.says("ACCESS_REFUSED")
        assert not late.mom.connected
        channel.basic_cancel(tag)
        late.connected(10)
    finally:
        late.stop()


def test_an_event_that_cannot_be_stored_for_a_while_is_not_lost(
    broker: PrivateBroker, tmp_path: Path
) -> None:
    failures = [
        StorageFull("the disk is full"),
        StorageFailed("the disk is away"),
        RuntimeError("unforeseen"),
    ]

    def handle(_event: Event) -> None:
        if failures:
            raise failures.pop(0)

    speaker = End(tmp_path, "speaker", broker.url).start()
    listener = End(tmp_path, "listener", broker.url, handle).start()
    try:
        ids = speaker.tell(*range(20))
        listener.hears(ids, 30)
        assert sorted(listener.heard) == sorted(ids), "each once"
        assert failures == []
        assert all(worker.alive for worker in listener.mom.workers)
        assert not any(worker.problem() for worker in listener.mom.workers)
        assert listener.mom.dead_letters(10) == []
    finally:
        speaker.stop()
        listener.stop()
