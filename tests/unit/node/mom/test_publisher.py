"""What leaves the outbox, and when; with a channel that only notes what is published."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from pika.channel import Channel
from pika.spec import Basic

from minga_node.events import Outbox
from minga_node.events.cloud import make
from minga_node.mom.publisher import Publisher
from minga_node.mom.topology import Topology
from minga_node.store import Store


class Recorded:
    is_open = True

    def __init__(self) -> None:
        self.bodies: list[bytes] = []

    def basic_publish(self, _exchange: str, _key: str, body: bytes, _properties: Any) -> None:
        self.bodies.append(body)


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    store = Store(tmp_path / "minga.sqlite3")
    yield Outbox(store)
    store.close()


class Bench:
    """A publisher, and the callbacks that its connection's loop would call."""

    def __init__(self, outbox: Outbox) -> None:
        self.later: list[Callable[[], None]] = []
        self.publisher = Publisher(
            outbox, Topology("n"), lambda *_: None, lambda _seconds, callback: self.later.append(callback)
        )

    def connect(self) -> Recorded:
        channel = Recorded()
        self.later.clear()  # the loop of the connection before is gone, with all that it had to call
        self.publisher.opened(cast(Channel, channel))
        self.publisher.pump()
        return channel

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
