"""The one connection to a real RabbitMQ: whose thread it is, what it holds, how it ends and comes back."""

from __future__ import annotations

import functools
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pika
import pytest
from pika.adapters.select_connection import SelectConnection
from pika.channel import Channel

from minga_node.events import Event
from minga_node.local.broker import PrivateBroker, private
from minga_node.mom.session import PREFETCH
from tests.nodes import Nodes
from tests.support.broker_end import End
from tests.waiting import wait_for

pytestmark = pytest.mark.integration

METHODS = (
    (Channel, ("basic_publish", "basic_ack", "basic_nack", "basic_consume", "basic_qos", "basic_get")),
    (Channel, ("queue_declare", "queue_bind", "exchange_declare", "confirm_delivery", "close")),
    (SelectConnection, ("channel", "close")),
)


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateBroker]:
    with private(tmp_path_factory.mktemp("broker")) as running:
        yield running


def waiting(broker: PrivateBroker, queue: str) -> int:
    """Messages in a queue that nobody has been given."""
    with pika.BlockingConnection(pika.URLParameters(broker.url)) as connection:
        found: int = connection.channel().queue_declare(queue, passive=True).method.message_count
        return found


def test_it_is_used_from_its_own_thread_only(
    broker: PrivateBroker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: dict[str, set[str]] = {}

    def watch(owner: Any, name: str) -> None:
        real = getattr(owner, name)

        @functools.wraps(real)
        def watched(self: Any, *arguments: Any, **options: Any) -> Any:
            threads.setdefault(name, set()).add(threading.current_thread().name)
            return real(self, *arguments, **options)

        monkeypatch.setattr(owner, name, watched)

    for owner, names in METHODS:
        for name in names:
            watch(owner, name)
    speaker = End(tmp_path, "speaker", broker.url)
    listener = End(tmp_path, "listener", broker.url).start()
    heard = listener.heard
    speaker.start()

    def tell(base: int) -> None:
        for number in range(base, base + 25):
            speaker.tell(number)

    tellers = [threading.Thread(target=tell, args=(base,)) for base in range(0, 100, 25)]
    for teller in tellers:
        teller.start()
    for teller in tellers:
        teller.join()
    wait_for(lambda: len(heard) == 100, f"all is heard once: {len(heard)}")
    assert listener.mom.dead_letters(10) == []
    for end in (speaker, listener):
        end.stop()
    assert len(heard) == 100
    used = {"basic_publish", "basic_ack", "basic_consume", "basic_get", "queue_declare", "channel", "close"}
    assert used <= set(threads)
    assert {name: where for name, where in threads.items() if where != {"mom"}} == {}


def test_no_more_messages_are_taken_than_can_wait(broker: PrivateBroker, tmp_path: Path) -> None:
    go_on = threading.Event()
    heard: list[str] = []

    def slow(event: Event) -> None:
        assert go_on.wait(60)
        heard.append(event.id)

    listener = End(tmp_path, "listener", broker.url, slow).start()
    speaker = End(tmp_path, "speaker", broker.url).start()
    queue = f"minga.{tmp_path.name}.events.listener"
    many = PREFETCH + 500
    try:
        for number in range(many):
            speaker.tell(number)
        wait_for(lambda: len(speaker.outbox) == 0, "all is at the broker")
        wait_for(lambda: waiting(broker, queue) == many - PREFETCH, f"{waiting(broker, queue)} wait there")
        go_on.set()
        wait_for(lambda: len(heard) == many, "all is heard")
        assert waiting(broker, queue) == 0
    finally:
        go_on.set()
        speaker.stop()
        listener.stop()


def test_a_broker_that_went_silent_is_noticed_by_its_heartbeats(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("minga_node.mom.address.HEARTBEAT_SECONDS", 2)
    with private(tmp_path / "broker") as broker:
        end = End(tmp_path, "a", broker.url).start()
        groups = [process.pid for process in broker._processes]
        try:
            for group in groups:
                os.killpg(group, signal.SIGSTOP)
            wait_for(lambda: not end.mom.connected, "the silence is noticed", 30)
            end.tell(1)
            assert len(end.outbox) == 1
            for group in groups:
                os.killpg(group, signal.SIGCONT)
            wait_for(lambda: end.mom.connected, "it is back")
            wait_for(lambda: len(end.outbox) == 0, "what waited is told")
        finally:
            for group in groups:
                os.killpg(group, signal.SIGCONT)
            end.stop()


def test_a_process_has_one_connection(nodes: Nodes, broker: PrivateBroker) -> None:
    node = nodes.start("a", broker_url=broker.url).ready()
    wait_for(lambda: node.metric("minga_broker_connected") == 1, "it is connected")
    node.put("x.txt", b"x")
    assert node.get("/api/v1/dead-letters") == {"letters": []}
    wait_for(lambda: node.metric("minga_outbox_messages") == 0, "it has spoken")
    assert connections(node.process.pid, broker.port) == 1


def connections(pid: int, port: int) -> int:
    """A process's TCP connections to a port (proc_pid_net(5), proc_net_tcp)."""
    own = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        own.add(str(entry.readlink()).removeprefix("socket:[").removesuffix("]"))
    found = 0
    for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        found += fields[3] == "01" and int(fields[2].split(":")[1], 16) == port and fields[9] in own
    return found
