"""Everybody knows, soon, whatever is down: real nodes and a real RabbitMQ that is taken away from them."""

from __future__ import annotations

import random
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from minga_node.local.broker import PrivateBroker, private
from tests.nodes import HOST, Nodes, RunningNode
from tests.support.index_node import IndexNode, making, until
from tests.support.index_node import file as shared
from tests.waiting import wait_for

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

SLOW: dict[str, Any] = {"gossip_seconds": 0.5, "suspect_seconds": 10, "dead_seconds": 20}
"""Sixteen processes share the cores of a small machine."""


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[PrivateBroker]:
    with private(tmp_path / "broker") as running:
        yield running


def contents(node: RunningNode) -> dict[tuple[str, str], set[str]]:
    """Everything a node knows: by name and id, who holds it."""
    found: dict[tuple[str, str], set[str]] = {}
    query: dict[str, Any] = {"cursor": ""}
    while True:
        page = node.get(f"/api/v1/files?limit=1000&sort=name&cursor={query['cursor']}")
        for row in page["files"]:
            found[row["name"], row["id"]] = {holder["peer"] for holder in row["holders"]}
        if page["next_cursor"] is None:
            return found
        query["cursor"] = page["next_cursor"]


def union(network: list[RunningNode]) -> dict[str, set[str]]:
    """What the directories really have."""
    found: dict[str, set[str]] = {}
    for node in network:
        for path in node.directory.rglob("*"):
            if path.is_file() and ".minga" not in path.parts:
                found.setdefault(path.relative_to(node.directory).as_posix(), set()).add(node.name)
    return found


def known(node: RunningNode) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for (name, _), holders in contents(node).items():
        found.setdefault(name, set()).update(holders)
    return found


def test_a_file_is_searchable_at_sixteen_nodes_with_the_broker_and_without(
    nodes: Nodes, broker: PrivateBroker
) -> None:
    first = nodes.start("node-00", broker_url=broker.url, **SLOW).ready(60)
    others = [nodes.start(f"node-{n:02d}", first, broker_url=broker.url, **SLOW) for n in range(1, 16)]
    network = [first, *others]
    for node in network:
        node.ready(180)
    wait_for(lambda: all(n.metric("minga_broker_connected") == 1 for n in network), "all have the broker", 60)
    network[5].put("with-broker.txt", b"x")
    wait_for(lambda: all(n.names("with-broker") for n in network), "all find it", 60)
    broker.stop()
    wait_for(lambda: all(n.metric("minga_broker_connected") == 0 for n in network), "the broker is away", 60)
    network[11].put("without-broker.txt", b"x")
    wait_for(lambda: all(n.names("without-broker") for n in network), "all find it", 60)


def test_after_an_outage_with_a_killed_node_every_index_is_the_union_of_the_directories(
    nodes: Nodes, broker: PrivateBroker
) -> None:
    dice = random.Random(2)
    first = nodes.start("node-0", broker_url=broker.url).ready()
    network = [first, *(nodes.start(f"node-{n}", first, broker_url=broker.url) for n in range(1, 4))]
    for node in network:
        node.ready(60)
        for n in range(5):
            (node.directory / f"{node.name}-{n}.txt").write_text(f"{n}")
    wait_for(lambda: all(known(node) == union(network) for node in network), "all equal before", 60)
    broker.kill()
    killed = network[2]
    for step in range(30):
        node = dice.choice(network)
        if step == 15:
            killed.kill()
        path = node.directory / f"file-{dice.randrange(12)}.txt"
        if dice.random() < 0.3:
            path.unlink(missing_ok=True)
        else:
            path.write_text(f"{dice.random()}")
    broker.start()
    killed.launch()
    killed.ready(60)
    wait_for(lambda: all(known(node) == union(network) for node in network), "all equal after", 90)
    wait_for(
        lambda: all(node.metric("minga_outbox_messages") == 0 for node in network), "no event is lost", 60
    )
    # Late events, told twice or not, change nothing.
    before = [contents(node) for node in network]
    assert all(each == before[0] for each in before)
    assert known(network[0]) == union(network)


class Gate:
    """A TCP relay in front of a node's gRPC that can be shut: the cut in the network."""

    def __init__(self) -> None:
        self.open = True
        self.target = 0
        self._listener = socket.create_server((HOST, 0))
        self.port = int(self._listener.getsockname()[1])
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if not self.open:
                client.close()
                continue
            try:
                server = socket.create_connection((HOST, self.target), 5)
            except OSError:
                client.close()
                continue
            self._sockets += [client, server]
            for source, sink in ((client, server), (server, client)):
                thread = threading.Thread(target=self._pipe, args=(source, sink), daemon=True)
                thread.start()
                self._threads.append(thread)

    @staticmethod
    def _pipe(source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def shut(self) -> None:
        self.open = False
        for each in self._sockets:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self.shut()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(5)
        for each in self._sockets:
            each.close()


class CutOff:
    """Channels of one side that reach the other only through its gates."""

    def __init__(self, node: IndexNode, gates: dict[str, Gate]) -> None:
        self._inner = node.channels.channel
        self._gates = gates
        node.channels.channel = self.channel  # type: ignore[method-assign]

    def channel(self, target: str) -> Any:
        gate = self._gates.get(target)
        return self._inner(f"{HOST}:{gate.port}" if gate is not None else target)


def test_a_network_that_was_cut_in_two_is_equal_again_within_a_few_rounds(tmp_path: Path) -> None:
    options = {"gossip_seconds": 0.2, "suspect_seconds": 1.0, "dead_seconds": 2.0}
    gates: list[Gate] = []
    with making(tmp_path) as made:
        network = made.network(6, **options)
        sides = network[:3], network[3:]
        for here, there in (sides, sides[::-1]):
            through: dict[str, Gate] = {}
            for other in there:
                gate = Gate()
                gate.target = other.peer.grpc_port
                through[other.peer.grpc_target] = gate
                gates.append(gate)
            for node in here:
                CutOff(node, through)
                for other in there:
                    # What it has open already goes around the gates.
                    node.channels.forget(other.peer.grpc_target)
        until(lambda: all(len(node.membership.alive()) == 5 for node in network), 30)
        for gate in gates:
            gate.shut()
        until(lambda: all(len(node.membership.alive()) == 2 for node in network), 30)
        for n, node in enumerate(network):
            node.index.publish([shared(f"cut-{n}-{k}", n * 10 + k + 1) for k in range(10)])
        until(lambda: all(len(node.names("cut")) == 30 for node in network), 30)
        for gate in gates:
            gate.open = True
        until(lambda: all(len(node.names("cut")) == 60 for node in network), 30)
        assert all(node.contents() == network[0].contents() for node in network)
    for gate in gates:
        gate.close()
