"""Those who watch a network from outside: what was said through the broker, and what had an effect where."""

from __future__ import annotations

import json
import threading
from collections import Counter
from contextlib import suppress
from typing import Any

import pika
import urllib3

from minga_node.local.broker import PrivateBroker
from tests.nodes import RunningNode


class Witness:
    """A consumer outside Minga that misses nothing: a durable queue bound to all events of a network."""

    def __init__(self, url: str, network: str) -> None:
        self._url, self._exchange, self._queue = url, f"minga.{network}.events", f"witness.{network}"
        self.bodies: list[bytes] = []
        with pika.BlockingConnection(pika.URLParameters(url)) as connection:
            channel = connection.channel()
            channel.exchange_declare(self._exchange, "topic", durable=True)
            channel.queue_declare(self._queue, durable=True)
            channel.queue_bind(self._queue, self._exchange, "#")

    @classmethod
    def of_a_broker_to_be_killed(cls, broker: PrivateBroker, network: str) -> Witness:
        """One whose binding outlives a kill: made before the broker ended in order, once.

        RabbitMQ may lose a binding that is a second old when it is killed, and keep the queue
        (docs/messages.md). Nodes bind again; a witness has to know that it was bound all the time.
        """
        witness = cls(broker.url, network)
        broker.stop()
        broker.start()
        return witness

    def hear(self) -> None:
        """Takes what has come."""
        with pika.BlockingConnection(pika.URLParameters(self._url)) as connection:
            channel = connection.channel()
            while True:
                method, _, body = channel.basic_get(self._queue, auto_ack=True)
                if method is None:
                    return
                self.bodies.append(body or b"")

    def ids(self, kind: str = "file.") -> Counter[str]:
        """How often each event was told."""
        events = map(json.loads, self.bodies)
        return Counter(event["id"] for event in events if event["type"].startswith(f"dev.minga.{kind}"))

    def tell_again(self) -> int:
        """Publishes everything once more, in order; how much that was."""
        with pika.BlockingConnection(pika.URLParameters(self._url)) as connection:
            channel = connection.channel()
            channel.confirm_delivery()
            for body in self.bodies:
                key = json.loads(body)["type"].removeprefix("dev.minga.")
                channel.basic_publish(self._exchange, key, body, pika.BasicProperties(delivery_mode=2))
        return len(self.bodies)


class Follower:
    """Reads ``/api/v1/events`` of a node, where each entry that has its effect there is told."""

    def __init__(self, node: RunningNode) -> None:
        self.node = node
        self.ids: Counter[str] = Counter()
        pool = urllib3.PoolManager(retries=False, timeout=urllib3.Timeout(connect=5, read=None))
        self._response = pool.request("GET", f"{node.url}/api/v1/events", preload_content=False)
        self._first = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()
        assert self._first.wait(10), "the node answers that it is followed"

    def _read(self) -> None:
        rest = b""
        with suppress(urllib3.exceptions.HTTPError, OSError, ValueError, AttributeError):
            while chunk := self._response.read1(65536):
                self._first.set()
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    if line.startswith(b"data: "):
                        self._note(json.loads(line[6:]))

    def _note(self, event: dict[str, Any]) -> None:
        if event["type"].startswith("dev.minga.file."):
            self.ids[event["id"]] += 1

    def join(self, seconds: float) -> None:
        """After its node has ended."""
        self._thread.join(seconds)
        self._response.close()
