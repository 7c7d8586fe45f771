"""What leaves the outbox, and when; with a channel that only notes what is published."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from pika.channel import Channel
from pika.spec import Basic, BasicProperties

from minga_node.events import Outbox
from minga_node.events.cloud import make
from minga_node.mom.publisher import CONFIRM_SECONDS, Publisher
from minga_node.mom.topology import Topology
from minga_node.store import Store


class Recorded:
    is_open = True

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.jobs: list[tuple[str, BasicProperties]] = []

    def basic_publish(
        self, _exchange: str, key: str, body: bytes, properties: BasicProperties, mandatory: bool
    ) -> None:
        self.bodies.append(body)
        if mandatory:
            self.jobs.append((key, properties))

    def add_on_return_callback(self, callback: Callable[..., None]) -> None:
        self.give_back = callback


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    store = Store(tmp_path / "minga.sqlite3")
    yield Outbox(store)
    store.close()


class Bench:
    """A publisher, and the callbacks that its connection's loop would call."""

    def __init__(self, outbox: Outbox) -> None:
        self.later: list[Callable[[], None]] = []
        self.declared: list[str] = []
        self.lost: list[str] = []
        self.now = 0.0
        self.outbox = outbox

    def connect(self) -> Recorded:
        channel = Recorded()
        self.later.clear()  # the loop of the connection before is gone, with all that it had to call
        self.publisher = Publisher(
            self.outbox,
            Topology("n"),
            lambda _channel, peer_id: self.declared.append(peer_id),
            self.lost.append,
            lambda _seconds, callback: self.later.append(callback),
            lambda: self.now,
        )
        self.publisher.opened(cast(Channel, channel))
        self.publisher.pump()
        return channel

    def refuse(self, upto: int) -> None:
        self.publisher.confirm(SimpleNamespace(method=Basic.Nack(upto, multiple=True)))

    def confirm(self, upto: int) -> None:
        self.publisher.confirm(SimpleNamespace(method=Basic.Ack(upto, multiple=True)))


def add(outbox: Outbox, count: int) -> None:
    outbox.add([make("n", "peer.left", peer="a", epoch=1, heartbeat=number) for number in range(count)])


def test_what_the_broker_has_leaves_the_outbox(outbox: Outbox) -> None:
    bench = Bench(outbox)
    add(outbox, 3)
    assert len(bench.connect().bodies) == 3
    bench.confirm(2)
    (forget,) = bench.later
    forget()
    assert len(outbox) == 1


def test_what_was_not_confirmed_goes_again(outbox: Outbox) -> None:
    bench = Bench(outbox)
    add(outbox, 3)
    first = bench.connect().bodies
    bench.publisher.closed()
    assert bench.connect().bodies == first


def test_a_connection_that_ends_just_after_a_confirmation_leaves_nothing_behind(outbox: Outbox) -> None:
    bench = Bench(outbox)
    add(outbox, 3)
    bench.connect()
    bench.confirm(2)
    bench.publisher.closed()
    assert len(bench.connect().bodies) == 1, "the broker has the other two"
    bench.confirm(1)
    (forget,) = bench.later
    forget()
    assert len(outbox) == 0


def test_a_job_that_no_queue_took_goes_again_once_its_queue_is_declared(outbox: Outbox) -> None:
    bench = Bench(outbox)
    add(outbox, 1)
    outbox.add([make("n", "job.drop", "c", "1", peer="a", job="1", id="c", keep=1)], target="b")
    add(outbox, 1)
    channel = bench.connect()
    ((key, properties),) = channel.jobs
    channel.give_back(channel, SimpleNamespace(routing_key=key), properties, channel.bodies[1])
    assert bench.lost == ["b"]
    bench.confirm(3)
    assert channel.bodies[3] == channel.bodies[1], "again"
    assert bench.declared == ["b", "b"]
    (forget,) = bench.later
    forget()
    assert len(outbox) == 1, "the others have left"
    bench.confirm(5)
    bench.later[-1]()
    assert len(outbox) == 0


def test_nothing_is_sent_to_a_broker_that_reads_nothing(outbox: Outbox) -> None:
    bench = Bench(outbox)
    add(outbox, 1)
    channel = bench.connect()
    bench.publisher.pause()
    add(outbox, 2)
    bench.publisher.pump()
    assert len(channel.bodies) == 1
    bench.publisher.resume()
    assert len(channel.bodies) == 3


def test_a_broker_is_silent_when_it_read_a_message_long_ago_and_did_not_confirm_it(outbox: Outbox) -> None:
    bench = Bench(outbox)
    bench.connect()
    bench.now = 100.0
    assert not bench.publisher.silent, "there was nothing to confirm"
    add(outbox, 1)
    bench.publisher.pump()
    found: list[bool] = []

    def note(seconds: float) -> None:
        bench.now += seconds
        found.append(bench.publisher.silent)

    note(CONFIRM_SECONDS)
    add(outbox, 1)
    bench.publisher.pump()
    note(1)
    assert found == [False, True]
    bench.publisher.pause()
    note(0)
    assert found[2:] == [False], "it says why itself"
    bench.now += 100
    bench.publisher.resume()
    note(0)
    assert found[3:] == [False], "it reads again as of now"
    bench.confirm(1)
    note(CONFIRM_SECONDS + 1)
    bench.confirm(2)
    note(0)
    assert found[4:] == [True, False], "the second one"


def test_what_the_broker_refuses_goes_again_after_a_pause(outbox: Outbox) -> None:
    bench = Bench(outbox)
    add(outbox, 2)
    channel = bench.connect()
    bench.refuse(2)
    add(outbox, 1)
    bench.publisher.pump()
    assert len(channel.bodies) == 2, "it rests"
    (go_on,) = bench.later
    go_on()
    assert channel.bodies[2:4] == channel.bodies[:2], "in order"
    assert len(channel.bodies) == 5
    bench.now += 3
    bench.refuse(5)
    assert bench.publisher.refused == 3
    bench.later[-1]()
    bench.confirm(6)
    assert bench.publisher.refused == 0
