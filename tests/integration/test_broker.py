"""The private RabbitMQ of local networks and tests."""

from __future__ import annotations

from pathlib import Path

import pika
import pytest

from minga_node.local.broker import private

pytestmark = pytest.mark.integration


def processes_of(base: Path) -> list[int]:
    """Processes whose working folder is the broker's."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and str((entry / "cwd").readlink()).startswith(str(base)):
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def test_it_carries_messages_keeps_them_over_a_kill_and_leaves_nothing_running(tmp_path: Path) -> None:
    with private(tmp_path / "broker") as broker:
        assert processes_of(tmp_path)
        with pika.BlockingConnection(pika.URLParameters(broker.url)) as connection:
            connection.channel().queue_declare("kept", durable=True)
        # What is confirmed are messages; a queue that was declared just before may still go with a kill.
        broker.stop()
        broker.start()
        with pika.BlockingConnection(pika.URLParameters(broker.url)) as connection:
            channel = connection.channel()
            channel.confirm_delivery()
            channel.basic_publish("", "kept", b"hello", pika.BasicProperties(delivery_mode=2))
        broker.kill()
        assert not broker.running
        broker.start()
        with pika.BlockingConnection(pika.URLParameters(broker.url)) as connection:
            method, _, body = connection.channel().basic_get("kept", auto_ack=True)
            assert method is not None
            assert body == b"hello"
    assert processes_of(tmp_path) == []


def test_two_run_side_by_side(tmp_path: Path) -> None:
    with private(tmp_path / "a") as a, private(tmp_path / "b") as b:
        assert a.port != b.port
        for broker in (a, b):
            pika.BlockingConnection(pika.URLParameters(broker.url)).close()
