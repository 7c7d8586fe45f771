"""Brokers that speak TLS, and more than one address of them: real nodes, real RabbitMQs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from minga_node.local.broker import PrivateBroker, private
from tests.cluster.certificates import Authority
from tests.nodes import Nodes, RunningNode
from tests.support.tls_broker import TlsBroker
from tests.waiting import PATIENCE, wait_for

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    made = Authority(tmp_path_factory.mktemp("ours") / "ca")
    made.make()
    return made


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[TlsBroker]:
    broker = TlsBroker(tmp_path_factory.mktemp("secure"), authority, ("IP:127.0.0.1",))
    try:
        broker.start()
        yield broker
    finally:
        broker.stop()


def connected(node: RunningNode, state: int = 1) -> None:
    wait_for(lambda: node.metric("minga_broker_connected") == state, f"the broker of {node.name}: {node.log}")


def said(node: RunningNode, words: str) -> list[str]:
    """Lines of a node's log."""
    return [line for line in node.log.splitlines() if words in line]


def published(node: RunningNode) -> float:
    return node.metric("minga_messages_total", direction="in", type="file.published")


def test_events_go_over_tls_to_a_broker_of_the_authority_that_is_named(
    nodes: Nodes, secure: TlsBroker, authority: Authority
) -> None:
    config: dict[str, Any] = {"broker_url": secure.url, "broker_ca_file": str(authority.certificate)}
    a = nodes.start("a", **config).ready()
    b = nodes.start("b", a, **config).ready()
    connected(a)
    connected(b)
    a.put("secret.txt", b"x")
    wait_for(lambda: published(b) == 1, "it came by the broker")
    assert b.names() == {"secret.txt"}
    assert secure.url not in a.log
    assert f"amqps://127.0.0.1:{secure.port}" in a.log


def test_a_broker_of_another_authority_is_refused_in_one_line_and_tried_again(
    nodes: Nodes, secure: TlsBroker, authority: Authority, tmp_path: Path
) -> None:
    other = Authority(tmp_path / "ca")
    other.make()
    node = nodes.start("a", broker_url=secure.url, broker_ca_file=str(other.certificate)).ready()
    wait_for(lambda: said(node, "its certificate is refused"), f"it says so: {node.log}")
    assert node.metric("minga_broker_connected") == 0
    assert node.request("GET", "/readyz").status == 200
    node.put("waits.txt", b"x")
    wait_for(lambda: node.metric("minga_outbox_messages") > 0, "its event waits")
    # The authority is renewed in its place.
    other.certificate.write_bytes(authority.certificate.read_bytes())
    connected(node)
    wait_for(lambda: node.metric("minga_outbox_messages") == 0, "its event is told")
    assert len(said(node, "the broker amqps")) == 2, node.log
    assert "Traceback" not in node.log


def test_a_file_without_certificates_is_refused_at_the_start(nodes: Nodes, tmp_path: Path) -> None:
    empty = tmp_path / "ca.pem"
    empty.write_text("nothing")
    node = nodes.start("a", broker_url="amqps://127.0.0.1:9/", broker_ca_file=str(empty))
    assert node.process.wait(PATIENCE) == 2
    assert node.log == f"minga-node: broker_ca_file is {empty}: expected a PEM file (no certificate)\n"


def test_a_broker_under_another_name_is_refused(nodes: Nodes, authority: Authority, tmp_path: Path) -> None:
    broker = TlsBroker(tmp_path / "broker", authority, ("DNS:elsewhere.example",))
    try:
        broker.start()
        node = nodes.start("a", broker_url=broker.url, broker_ca_file=str(authority.certificate)).ready()
        wait_for(lambda: said(node, "its certificate is refused"), f"it says so: {node.log}")
        assert "127.0.0.1" in said(node, "its certificate is refused")[0]
        assert node.metric("minga_broker_connected") == 0
    finally:
        broker.stop()


def test_a_system_that_does_not_know_the_authority_refuses_it(nodes: Nodes, secure: TlsBroker) -> None:
    node = nodes.start("a", broker_url=secure.url).ready()
    wait_for(lambda: said(node, "its certificate is refused"), f"it says so: {node.log}")


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("amqp://minga:verysecret@127.0.0.1:{port}/", "it refuses the user or the password"),
        ("amqp://127.0.0.1:9/", "connection refused"),
        ("amqp://nowhere.invalid/", "its name is not known"),
    ],
)
def test_what_is_wrong_with_a_broker_is_said_once_and_without_the_password(
    nodes: Nodes, tmp_path: Path, url: str, why: str
) -> None:
    if "{port}" in url:
        with private(tmp_path / "broker") as broker:
            node = nodes.start("a", broker_url=url.format(port=broker.port)).ready()
            wait_for(lambda: said(node, why), f"it says why: {node.log}")
    else:
        node = nodes.start("a", broker_url=url).ready()
        wait_for(lambda: said(node, why), f"it says why: {node.log}")
    assert "verysecret" not in node.log
    assert len(said(node, why)) == 1


def test_the_next_address_is_tried_and_the_first_one_again(nodes: Nodes, tmp_path: Path) -> None:
    first, second = PrivateBroker(tmp_path / "first"), PrivateBroker(tmp_path / "second")
    try:
        second.start()
        both = [first.url, second.url]
        a = nodes.start("a", broker_url=both).ready()
        b = nodes.start("b", a, broker_url=both).ready()
        for node in (a, b):
            connected(node)
            assert f":{second.port}" in said(node, "connected to the broker")[-1]
        a.put("at-the-second.txt", b"x")
        wait_for(lambda: published(b) == 1, "by the second")
        first.start()
        second.kill()
        for node in (a, b):
            wait_for(
                lambda node=node: f":{first.port}" in said(node, "connected to the broker")[-1],  # type: ignore[misc]
                f"{node.name} goes to the first: {node.log}",
            )
            connected(node)
        a.put("at-the-first.txt", b"x")
        wait_for(lambda: published(b) == 2, "by the first")
    finally:
        first.stop()
        second.stop()
