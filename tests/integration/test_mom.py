"""Events, wants and jobs between real nodes over a real RabbitMQ."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pika
import pika.exceptions
import pytest

from minga_node.events.schema import schema
from minga_node.local.broker import PrivateBroker, private
from tests.nodes import Nodes, RunningNode
from tests.support.rabbit import publish
from tests.waiting import wait_for

pytestmark = pytest.mark.integration

Start = Callable[..., RunningNode]


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateBroker]:
    with private(tmp_path_factory.mktemp("broker")) as running:
        yield running


@pytest.fixture
def network(request: pytest.FixtureRequest) -> str:
    """A name of its own for each test, so that no queue is anybody else's."""
    return f"test-{abs(hash(request.node.name))}"


@pytest.fixture
def start(nodes: Nodes, broker: PrivateBroker, network: str) -> Start:
    """Starts a node with the broker, through the first one."""

    def begin(name: str, **more: Any) -> RunningNode:
        seeds = nodes.all[:1]
        config = {"network": network, "broker_url": broker.url, **more}
        return nodes.start(name, *seeds, **config).ready()

    return begin


def connected(*nodes: RunningNode) -> None:
    for node in nodes:
        wait_for(
            lambda node=node: node.metric("minga_broker_connected") == 1,  # type: ignore[misc]
            f"{node.name} at the broker; its log:\n{node.log}",
        )


def test_an_outside_consumer_gets_documented_events(
    start: Start, broker: PrivateBroker, network: str
) -> None:
    a = start("a")
    connected(a)
    with pika.BlockingConnection(pika.URLParameters(broker.url)) as connection:
        channel = connection.channel()
        mine = channel.queue_declare("", exclusive=True).method.queue
        channel.queue_bind(mine, f"minga.{network}.events", "file.*")
        channel.queue_bind(mine, f"minga.{network}.events", "peer.*")
        a.put("Información.pdf", b"x")
        b = start("b")
        b.fetch(name="Información.pdf")
        assert a.request("DELETE", "/files/Informaci%C3%B3n.pdf").status == 204
        b.terminate()
        seen: list[dict[str, Any]] = []

        def key(event: dict[str, Any]) -> tuple[str, str]:
            return event["type"].removeprefix("dev.minga."), event["data"]["peer"]

        wanted = {
            ("file.published", "a"), ("file.published", "b"), ("file.removed", "a"), ("peer.joined", "b"),
            ("peer.left", "b"),
        }  # fmt: skip

        def all_seen() -> bool:
            while True:
                method, _, body = channel.basic_get(mine, auto_ack=True)
                if method is None:
                    return wanted <= set(map(key, seen))
                seen.append(json.loads(body or b""))

        wait_for(all_seen, f"the events (so far: {seen})")
    for event in seen:
        jsonschema.validate(event, schema())


UNITS = {"": 1, "days": 86_400_000}


def documented_queues(network: str, peer: str) -> dict[str, dict[str, Any]]:
    """The queues of the table in the documentation, with their arguments."""
    text = (Path(__file__).parents[2] / "docs" / "messages.md").read_text()
    found: dict[str, dict[str, Any]] = {}
    for line in text.splitlines():
        name, kind, arguments = ([*line.split("|"), "", "", ""])[1:4]
        if "queue" not in kind or not name.startswith(" `minga."):
            continue
        made: dict[str, Any] = {}
        for key, value in re.findall(r"`(x-[a-z-]+)` (`[^`]+`|[0-9,]+(?: days)?)", arguments):
            number, _, unit = value.replace(",", "").partition(" ")
            made[key] = value.strip("`") if "`" in value else int(number) * UNITS[unit]
        as_here = {"NETWORK": network, "PEER": peer}
        for word, real in as_here.items():
            name = name.replace(word, real)
            made = {k: v.replace(word, real) if isinstance(v, str) else v for k, v in made.items()}
        found[name.strip(" `")] = made
    return found


def test_the_queues_are_those_of_the_documentation(start: Start, broker: PrivateBroker, network: str) -> None:
    connected(start("a"))
    queues = documented_queues(network, "a")
    assert len(queues) == 3
    # The broker adds the type that is its default to what has none.
    with pika.BlockingConnection(pika.URLParameters(broker.url)) as connection:
        for name, arguments in queues.items():
            channel = connection.channel()
            channel.queue_declare(name, passive=True)
            # The same declaration again is allowed; another one is refused (AMQP 0-9-1, 1.7.2.1).
            channel.queue_declare(name, durable=True, arguments=arguments)
            with pytest.raises(pika.exceptions.ChannelClosedByBroker, match="PRECONDITION_FAILED"):
                channel.queue_declare(name, durable=True, arguments={**arguments, "x-expires": 1})
        kinds = {"events": "topic", "jobs": "direct", "dead": "fanout", "spoilt": "headers"}
        for name, kind in kinds.items():
            connection.channel().exchange_declare(f"minga.{network}.{name}", kind, durable=True)


def test_what_is_no_event_is_dead_lettered_and_the_consumer_lives(
    start: Start, broker: PrivateBroker, network: str
) -> None:
    a, b = start("a"), start("b")
    connected(a, b)
    bad = [
        b"garbage",
        b"[]",
        b'{"specversion":"1.0","id":"1","type":"dev.minga.nonsense","source":"/x","data":{}}',
    ]
    with pika.BlockingConnection(pika.URLParameters(broker.url)) as connection:
        channel = connection.channel()
        for body in bad:
            channel.basic_publish(f"minga.{network}.events", "file.published", body)
        dead = f"minga.{network}.dead"
        wait_for(
            lambda: channel.queue_declare(dead, passive=True).method.message_count == 2 * len(bad),
            "both nodes' bad messages are dead letters",
        )
    assert b.metric("minga_messages_total", direction="in", type="invalid") == len(bad)
    a.put("after.txt", b"x")
    wait_for(lambda: "after.txt" in b.names(), "b still hears")


def test_events_wait_for_the_broker_and_none_is_lost(
    start: Start, nodes: Nodes, tmp_path: Path, network: str
) -> None:
    with private(tmp_path / "own-broker") as own:
        a, b = start("a", broker_url=own.url), start("b", broker_url=own.url)
        connected(a, b)
        # RabbitMQ may lose a new binding when it is killed (docs/messages.md); this is about what waits.
        own.stop()
        own.start()
        connected(a, b)
        own.kill()
        wait_for(lambda: b.metric("minga_broker_connected") == 0, "b notices")
        a.put("meanwhile.txt", b"x")
        wait_for(lambda: "meanwhile.txt" in b.names(), "gRPC brings it")
        assert a.request("GET", "/readyz").status == 200
        own.start()
        connected(a, b)
        wait_for(lambda: a.metric("minga_outbox_messages") == 0, "the outbox is empty")
        wait_for(
            lambda: b.metric("minga_messages_total", direction="in", type="file.published") >= 1, "it came"
        )
    assert b.names() == {"meanwhile.txt"}


def test_a_want_is_satisfied_when_its_holder_returns_with_the_wanter_restarted(start: Start) -> None:
    seed, holder = start("seed"), start("holder")
    holder.put("rare.bin", b"rare")
    wanter = start("wanter")
    wait_for(lambda: "rare.bin" in wanter.names(), "the wanter knows it")
    connected(seed, holder, wanter)
    holder.kill()
    wait_for(lambda: not wanter.get("/api/v1/files?q=rare")["files"][0]["available"], "nobody has it")
    made = wanter.request("POST", "/api/v1/wants", json={"name": "rare.bin", "fetch": True})
    assert made.status == 201
    where = made.headers["Location"]
    assert wanter.get(where)["state"] == "waiting"
    wanter.terminate()
    holder.launch()
    holder.ready()
    wanter.launch()
    wanter.ready()
    wait_for(lambda: wanter.get(where)["state"] == "available", "the want is satisfied")
    assert wanter.get(where)["found_peer"] == "holder"
    wait_for(lambda: (wanter.directory / "rare.bin").exists(), "and fetched")


def test_a_want_can_be_withdrawn_and_expires(start: Start) -> None:
    a = start("a")
    made = a.request("POST", "/api/v1/wants", json={"name": "never.bin"}).json()
    assert a.request("DELETE", f"/api/v1/wants/{made['id']}").json()["state"] == "withdrawn"
    short = a.request("POST", "/api/v1/wants", json={"name": "never.bin", "seconds": 1}).json()
    wait_for(lambda: a.get(f"/api/v1/wants/{short['id']}")["state"] == "expired", "it expires")
    assert a.request("POST", "/api/v1/wants", json={}).status == 400


def test_replicate_makes_complete_holders(start: Start) -> None:
    network = [start(name) for name in ("a", "b", "c", "d")]
    a = network[0]
    row = a.put("model.bin", os.urandom(300_000))
    connected(*network)
    wait_for(lambda: all("model.bin" in node.names() for node in network), "all know it")
    made = a.request("POST", "/api/v1/replications", json={"id": row["id"], "copies": 3})
    assert made.status == 202, made.data
    where = made.headers["Location"]
    wait_for(lambda: a.get(where)["state"] == "complete", f"three holders: {a.get(where)}")
    assert sum((node.directory / "model.bin").exists() for node in network) == 3


def test_a_job_waits_for_a_node_that_was_never_at_the_broker(
    start: Start, nodes: Nodes, network: str
) -> None:
    a = start("a")
    row = a.put("early.bin", os.urandom(100_000))
    b = nodes.start("b", a, network=network).ready()
    connected(a)
    wait_for(lambda: "early.bin" in b.names(), "b knows it")
    made = a.request("POST", "/api/v1/replications", json={"id": row["id"], "copies": 2})
    wait_for(lambda: a.metric("minga_messages_total", direction="out", type="job.hold") == 1, "it is asked")
    wait_for(lambda: a.metric("minga_outbox_messages") == 0, "the broker has the job")
    b.terminate()
    b.config["broker_url"] = a.config["broker_url"]
    b.launch()
    wait_for(lambda: a.get(made.headers["Location"])["state"] == "complete", "b did it")
    assert a.metric("minga_messages_total", direction="out", type="job.hold") == 1


def test_a_job_is_finished_by_its_redelivery_from_the_verified_pieces(start: Start) -> None:
    a = start("a", upload_limit=3_000_000)
    content = os.urandom(12_000_000)
    row = a.put("big.bin", content)
    b = start("b")
    connected(a, b)
    wait_for(lambda: "big.bin" in b.names(), "b knows it")
    made = a.request("POST", "/api/v1/replications", json={"id": row["id"], "copies": 2})
    where = made.headers["Location"]

    def verified() -> int:
        return max((d["verified"] for d in b.get("/api/v1/downloads")["downloads"]), default=0)

    before = wait_for(lambda: verified() if verified() > 2_000_000 else 0, "b is in mid-copy")
    b.kill()
    b.launch()
    b.ready()
    wait_for(lambda: a.get(where)["state"] == "complete", "the job is done")
    assert (b.directory / "big.bin").read_bytes() == content
    fetched = b.metric("minga_transfer_bytes_total", direction="in")
    assert fetched <= len(content) - before + 3_000_000, (fetched, before)


def test_a_job_outlives_the_broker_and_its_copy_is_made_once(
    start: Start, tmp_path: Path, network: str
) -> None:
    content = os.urandom(9_000_000)
    with private(tmp_path / "own-broker") as own:
        a = start("a", broker_url=own.url, upload_limit=3_000_000)
        row = a.put("big.bin", content)
        b = start("b", broker_url=own.url)
        connected(a, b)
        # RabbitMQ may lose a new quorum queue when it is killed (docs/messages.md); this is about the job.
        own.stop()
        own.start()
        connected(a, b)
        wait_for(lambda: "big.bin" in b.names(), "b knows it")
        where = a.request("POST", "/api/v1/replications", json={"id": row["id"], "copies": 2}).headers[
            "Location"
        ]
        wait_for(lambda: any(d["verified"] for d in b.get("/api/v1/downloads")["downloads"]), "b is at it")
        queue = f"minga.{network}.jobs.b"
        assert a.get("/api/v1/jobs")["jobs"][0]["state"] == "asked"
        own.kill()
        own.start()
        wait_for(lambda: a.get(where)["state"] == "complete", "the job is done", 90)
        wait_for(lambda: a.get("/api/v1/jobs")["jobs"][0]["state"] == "done", "and known to be")
        connected(a, b)
        with pika.BlockingConnection(pika.URLParameters(own.url)) as connection:
            channel = connection.channel()
            wait_for(
                lambda: channel.queue_declare(queue, passive=True).method.message_count == 0, "acknowledged"
            )
        assert (b.directory / "big.bin").read_bytes() == content
        fetched = b.metric("minga_transfer_bytes_total", direction="in")
        assert fetched < 1.2 * len(content), "not once more because it was told once more"
        b.kill()
        with pika.BlockingConnection(pika.URLParameters(own.url)) as connection:
            left = connection.channel().queue_declare(queue, passive=True).method.message_count
        assert left == 0, "nothing comes again: it was acknowledged"


def test_a_job_is_acknowledged_only_when_its_copy_is_complete(
    start: Start, broker: PrivateBroker, network: str
) -> None:
    a = start("a", upload_limit=1_000_000)
    row = a.put("big.bin", os.urandom(8_000_000))
    b = start("b")
    connected(a, b)
    wait_for(lambda: "big.bin" in b.names(), "b knows it")
    a.request("POST", "/api/v1/replications", json={"id": row["id"], "copies": 2})
    wait_for(lambda: any(d["verified"] for d in b.get("/api/v1/downloads")["downloads"]), "b is at it")
    b.kill()
    with pika.BlockingConnection(pika.URLParameters(broker.url)) as connection:
        channel = connection.channel()
        wait_for(
            lambda: channel.queue_declare(f"minga.{network}.jobs.b", passive=True).method.message_count == 1,
            "the job is there for b's next process",
        )


def test_a_poison_job_ends_in_the_dead_letters(start: Start, broker: PrivateBroker, network: str) -> None:
    a = start("a")
    connected(a)
    unknown = {
        "specversion": "1.0", "id": "1", "type": "dev.minga.job.hold", "source": "/networks/t/peers/x",
        "time": "2026-01-01T00:00:00Z", "data": {"peer": "x", "job": "1", "id": "ab" * 32, "name": "x.bin"},
    }  # fmt: skip
    with pika.BlockingConnection(pika.URLParameters(broker.url)) as connection:
        channel = connection.channel()
        publish(broker, f"minga.{network}.jobs", "a", b"poison", json.dumps(unknown).encode())
        dead = f"minga.{network}.dead"
        wait_for(
            lambda: channel.queue_declare(dead, passive=True).method.message_count == 2,
            f"both are dead letters\n{a.log}",
            60,
        )
    assert a.request("GET", "/readyz").status == 200


def test_a_copy_to_which_nothing_comes_is_tried_again_and_given_up(
    start: Start, broker: PrivateBroker, network: str
) -> None:
    """`stalled_seconds` is five minutes outside of tests."""
    a, b = start("a"), start("b", stalled_seconds=1)
    row = a.put("model.bin", os.urandom(300_000))
    connected(a, b)
    wait_for(lambda: "model.bin" in b.names(), "b knows it")
    a.kill()
    job = {
        "specversion": "1.0", "id": "1", "type": "dev.minga.job.hold", "source": "/networks/t/peers/x",
        "time": "2026-01-01T00:00:00Z",
        "data": {"peer": "x", "job": "1", "id": row["id"], "name": "model.bin", "copies": 0},
    }  # fmt: skip
    with pika.BlockingConnection(pika.URLParameters(broker.url)) as connection:
        channel = connection.channel()
        mine = channel.queue_declare("", exclusive=True).method.queue
        channel.queue_bind(mine, f"minga.{network}.events", "job.failed")
        publish(broker, f"minga.{network}.jobs", "b", json.dumps(job).encode())
        failed = wait_for(lambda: channel.basic_get(mine, auto_ack=True)[2], f"it is given up\n{b.log}", 90)
        dead = f"minga.{network}.dead"
        wait_for(lambda: channel.queue_declare(dead, passive=True).method.message_count == 1, "a dead letter")
    assert json.loads(failed or b"")["data"]["error"].startswith("nothing more came for 1 s: ")
    assert b.log.count("failed, again later: nothing more came for 1 s") == 4
    assert b.metric("minga_jobs_total", kind="hold", result="retried") == 4


def test_the_consumer_in_the_documentation_runs(start: Start, broker: PrivateBroker, network: str) -> None:
    a = start("a")
    connected(a)
    example = Path(__file__).parents[2] / "docs" / "examples" / "consumer.py"
    with subprocess.Popen(
        [sys.executable, str(example), broker.url, network, "file.*"], stdout=subprocess.PIPE, text=True
    ) as consumer:
        try:
            assert consumer.stdout is not None
            assert consumer.stdout.readline() == "listening\n"
            a.put("seen.txt", b"x")
            type_, data = consumer.stdout.readline().split(" ", 1)
            assert type_ == "dev.minga.file.published"
            assert json.loads(data)["name"] == "seen.txt"
        finally:
            consumer.terminate()
