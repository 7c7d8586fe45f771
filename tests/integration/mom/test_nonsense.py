"""Messages that keep to the schema and are nonsense all the same: nothing of them hurts a real node."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pika
import pytest

from minga_node.events.types import TYPES, Field, Kind, Type
from minga_node.local.broker import private
from tests.nodes import Nodes
from tests.waiting import wait_for

pytestmark = pytest.mark.integration

TEXTS = (
    "", "a", "b", "x" * 5000, "\x00", "a\nb", "../../etc/passwd", ".minga/x", "/", "é" * 300, "\ud800",
    "\U0001f980", "198.18.0.1", "-1", "%s", "'; DROP TABLE wants; --",
)  # fmt: skip
NUMBERS = (0, 1, -1, 2, 65535, 65536, 2**31, 2**53, 2**62, 2**63 - 1, -(2**63) + 1)
EACH = 60


def value(field: Field, dice: random.Random) -> Any:
    if field.kind is Kind.TEXT:
        return dice.choice(TEXTS)
    if field.kind is Kind.ID:
        return f"{dice.randrange(4):064x}"
    return dice.random() < 0.5 if field.kind is Kind.BOOLEAN else dice.choice(NUMBERS)


def message(type_: Type, number: int, dice: random.Random) -> bytes:
    fields = [field for field in type_.fields if not field.optional or dice.random() < 0.7]
    return json.dumps({
        "specversion": "1.0",
        "id": f"n{number}" if dice.random() < 0.7 else dice.choice(TEXTS[1:]),
        "type": type_.name,
        "source": "/networks/test/peers/x" if dice.random() < 0.7 else dice.choice(TEXTS[1:]),
        "time": dice.choice(TEXTS),
        "data": {field.name: value(field, dice) for field in fields},
    }).encode()


@pytest.mark.parametrize("seed", [1, 2])
def test_a_node_lives_through_nonsense_of_every_type(nodes: Nodes, tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    with private(tmp_path / "broker") as broker:
        node = nodes.start("a", broker_url=broker.url, files={"mine.txt": b"mine"}).ready()
        other = nodes.start("b", node, broker_url=broker.url, files={"theirs.txt": b"theirs"}).ready()
        for each in (node, other):
            wait_for(lambda each=each: each.metric("minga_broker_connected") == 1, "the broker")  # type: ignore[misc]
            wait_for(lambda each=each: each.names() == {"mine.txt", "theirs.txt"}, "the index")  # type: ignore[misc]
        before = node.get("/api/v1/files?limit=1000")["files"]
        with pika.BlockingConnection(pika.URLParameters(broker.url)) as connection:
            channel = connection.channel()
            channel.confirm_delivery()
            for number in range(EACH):
                for type_ in TYPES.values():
                    if type_.job:
                        if number == 0:
                            channel.basic_publish("minga.test.jobs", "a", message(type_, number, dice))
                        continue
                    body = message(type_, number, dice)
                    channel.basic_publish("minga.test.events", type_.routing_key, body)
        other.put("after.txt", b"x")
        wait_for(
            lambda: (
                node.metric("minga_messages_total", direction="in", type="file.published") > 1
                and "after.txt" in node.names()
            ),
            f"it still hears:\n{node.log[-3000:]}",
        )
        wait_for(
            lambda: waiting(broker.url, "minga.test.events.a") == 0, f"it has taken all:\n{node.log[-3000:]}"
        )
        assert "Traceback" not in node.log
        rows = {(row["name"], row["id"]) for row in node.get("/api/v1/files?limit=1000")["files"]}
        assert rows >= {(row["name"], row["id"]) for row in before}, "what is known of real nodes stays"
        assert node.get("/api/v1/wants") == {"wants": []}
        assert (node.directory / "mine.txt").read_bytes() == b"mine"
        assert node.request("GET", "/readyz").status == 200


def waiting(url: str, queue: str) -> int:
    with pika.BlockingConnection(pika.URLParameters(url)) as connection:
        found: int = connection.channel().queue_declare(queue, passive=True).method.message_count
        return found
