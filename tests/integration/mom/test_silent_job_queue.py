"""A queue of jobs that does not answer: a replicated one without a leader looks just so."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel

from minga_node.local.broker import PrivateBroker, private
from minga_node.mom.topology import Topology
from tests.support.broker_end import End
from tests.support.rabbit import erlang, publish
from tests.waiting import wait_for

pytestmark = pytest.mark.integration


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[PrivateBroker]:
    with private(tmp_path / "broker") as running:
        yield running


def counts(channel: BlockingChannel, queue: str) -> tuple[int, int]:
    """Messages that wait in a queue, and its consumers."""
    method = channel.queue_declare(queue, passive=True).method
    return method.message_count, method.consumer_count


def test_events_come_though_the_queue_of_jobs_does_not_answer_and_jobs_when_it_does(
    broker: PrivateBroker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("minga_node.mom.job_queue.ANSWER_SECONDS", 3.0)
    topology = Topology(tmp_path.name)
    queue = topology.job_queue("listener").name
    first = End(tmp_path, "listener", broker.url).start()
    wait_for(lambda: erlang(broker, f"whereis('%2F_{queue}').") != "undefined", "its queue of jobs")
    first.stop()
    member = f"{{'%2F_{queue}', node()}}"
    erlang(broker, f"sys:suspend({member}).")
    listener = End(tmp_path, "listener", broker.url).start()
    speaker = End(tmp_path, "speaker", broker.url).start()
    try:
        listener.says(f"no jobs come from the queue {queue}: the broker does not answer")
        listener.hears(speaker.tell(1, 2, 3))
        listener.hears([*listener.heard, *speaker.tell(4)])
        assert listener.mom.state.carries
        speaker.hears(listener.tell(1))
        erlang(broker, f"sys:resume({member}).")
        wait_for(lambda: listener.problem == "", "jobs come again")
        with pika.BlockingConnection(pika.URLParameters(broker.url)) as connection:
            channel = connection.channel()
            publish(broker, topology.jobs, "listener", json.dumps({"no": "job"}).encode())
            wait_for(lambda: counts(channel, queue) == (0, 1), "it is taken")
        assert listener.lapses == 0
    finally:
        speaker.stop()
        listener.stop()
