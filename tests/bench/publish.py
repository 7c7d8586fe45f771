"""From publishing a file to finding it at all other nodes, with the broker and without.

    python -m tests.bench.publish [--nodes 16] [--files 50]

The nodes are in this process, each with its own store, gRPC server, rounds of gossip and connection to a real
RabbitMQ: sixteen interpreters on two cores would measure their scheduler.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import threading
import time
from pathlib import Path

from minga_node.events import Outbox
from minga_node.events.files import FileEvents
from minga_node.local.broker import private
from minga_node.mom import BrokerAddresses, Mom
from tests.support.index_node import IndexNode, Nodes, file, making

GOSSIP_SECONDS = 1.0


def with_broker(node: IndexNode, url: str) -> Mom:
    outbox = Outbox(node.store)
    node.index.logs.hooks.append(FileEvents(outbox, "test", node.name).hook)
    addresses = BrokerAddresses([url])
    soon = node.membership.meet_soon
    mom = Mom(addresses, "test", node.index, node.store, outbox, {}, work=print, on_gap=soon)
    node.membership.eager = lambda: not mom.connected
    mom.start()
    return mom


class Arrivals:
    """Hears of every commit at every node, which costs less than asking a thousand times a second."""

    def __init__(self, network: list[IndexNode]) -> None:
        self._network = network
        self._lock = threading.Lock()
        self._name = ""
        self._waiting: set[int] = set()
        self._all = threading.Event()
        self.at = 0.0
        for number, node in enumerate(network):
            node.index.on_change.append(lambda _peer, number=number: self._look(number))  # type: ignore[misc]

    def expect(self, name: str) -> None:
        with self._lock:
            self._name, self._waiting = name, set(range(len(self._network)))
            self._all.clear()

    def _look(self, number: int) -> None:
        if number in self._waiting and self._network[number].index.by_name(self._name):
            with self._lock:
                self._waiting.discard(number)
                if not self._waiting:
                    self.at = time.perf_counter()
                    self._all.set()

    def wait(self) -> None:
        if not self._all.wait(60):
            raise SystemExit(f"{self._name} is not everywhere after a minute")


def measure(network: list[IndexNode], arrivals: Arrivals, files: int, prefix: str) -> dict[str, float]:
    """Milliseconds from the call that publishes to the last node that finds it."""
    taken: list[float] = []
    for n in range(files):
        name = f"{prefix}-{n}"
        arrivals.expect(name)
        began = time.perf_counter()
        network[n % len(network)].index.publish([file(name, n + 1)])
        arrivals.wait()
        taken.append((arrivals.at - began) * 1000)
        time.sleep(0.05)
    taken.sort()
    return {
        "p50": round(taken[len(taken) // 2], 1),
        "p99": round(taken[min(len(taken) - 1, int(len(taken) * 0.99))], 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--nodes", type=int, default=16)
    parser.add_argument("--files", type=int, default=50)
    asked = parser.parse_args()
    result: dict[str, object] = {"nodes": asked.nodes, "gossip_seconds": GOSSIP_SECONDS}
    with tempfile.TemporaryDirectory() as folder, making(Path(folder)) as made:
        network = start(made, asked.nodes)
        arrivals = Arrivals(network)
        result["without_broker_ms"] = measure(network, arrivals, asked.files, "grpc")
        with private(Path(folder) / "broker") as broker:
            moms = [with_broker(node, broker.url) for node in network]
            while not all(mom.connected for mom in moms):
                time.sleep(0.05)
            result["with_broker_ms"] = measure(network, arrivals, asked.files, "mom")
            for mom in moms:
                mom.stop()
    print(f"{'':<16} {'p50 ms':>8} {'p99 ms':>8}")
    for key in ("with_broker_ms", "without_broker_ms"):
        numbers = result[key]
        assert isinstance(numbers, dict)
        print(f"{key[:-3]:<16} {numbers['p50']:>8} {numbers['p99']:>8}")
    print(json.dumps(result))


def start(made: Nodes, count: int) -> list[IndexNode]:
    network = made.network(count, gossip_seconds=GOSSIP_SECONDS, suspect_seconds=30.0, dead_seconds=60.0)
    while not all(len(node.membership.alive()) == count - 1 for node in network):
        time.sleep(0.05)
    return network


if __name__ == "__main__":
    main()
