"""Traces of real nodes and a real RabbitMQ, as an OTLP receiver gets them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pika
import pytest

from minga_node.local.broker import PrivateBroker, private
from tests.nodes import Nodes, RunningNode
from tests.otlp import Received, Receiver, receiver
from tests.waiting import wait_for

pytestmark = pytest.mark.integration

TRACE = "0af7651916cd43dd8448eb211c80319c"
CALLER = "b7ad6b7169203331"
TRACEPARENT = {"traceparent": f"00-{TRACE}-{CALLER}-01"}
MIB = 1024 * 1024


@pytest.fixture
def otlp(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    """Nodes that start with this send their spans there, at once."""
    for name in list(os.environ):
        if name.startswith("OTEL_"):
            monkeypatch.delenv(name)
    with receiver() as made:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", made.url)
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
        yield made


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateBroker]:
    with private(tmp_path_factory.mktemp("broker")) as running:
        yield running


def network(nodes: Nodes, broker: PrivateBroker, name: str, **more: str) -> list[RunningNode]:
    """Three nodes that know each other; the first has a file of some pieces."""
    common: dict[str, Any] = {"broker_url": broker.url, "network": name, **more}
    files = {"film.mkv": os.urandom(3 * MIB + 17)}
    first = nodes.start("holder", files=files, **common)
    others = [nodes.start(each, first, **common) for each in ("fetcher", "listener")]
    for node in (first, *others):
        node.ready()
        wait_for(lambda node=node: "film.mkv" in node.names(), f"{node.name} knows the file")  # type: ignore[misc]
        wait_for(lambda node=node: node.metric("minga_broker_connected") == 1, f"{node.name} at the broker")  # type: ignore[misc]
    return [first, *others]


class Outside:
    """A consumer outside Minga, with a queue of its own."""

    def __init__(self, broker: PrivateBroker, name: str) -> None:
        self._channel = pika.BlockingConnection(pika.URLParameters(broker.url)).channel()
        self._queue = self._channel.queue_declare("", exclusive=True).method.queue
        self._channel.queue_bind(self._queue, f"minga.{name}.events", "#")

    def traces(self, key: str) -> set[str]:
        """Of the events that came: what each says, which is what its message's header says."""
        found = set()
        while (message := self._channel.basic_get(self._queue, auto_ack=True))[0] is not None:
            method, properties, body = message
            if method.routing_key == key:
                said = json.loads(body).get("traceparent", "")
                assert (properties.headers or {}).get("traceparent", "") == said
                found.add(said)
        self._channel.connection.close()
        return found


def one(spans: list[Received], node: str, name: str) -> Received:
    """The span of a node with a name, of which there is one."""
    found = [span for span in spans if (span.node, span.name) == (node, name)]
    assert len(found) == 1, (node, name, sorted((span.node, span.name) for span in spans))
    return found[0]


def sends(otlp: Receiver) -> list[Received]:
    """Messages to the broker: of the file, and of the transfer."""
    return [span for span in otlp.spans(TRACE) if span.name == "send minga.traced.events"]


def test_one_trace_follows_a_download_across_three_nodes_and_the_broker(
    nodes: Nodes, broker: PrivateBroker, otlp: Receiver
) -> None:
    holder, fetcher, listener = network(nodes, broker, "traced", log_format="json")
    outside = Outside(broker, "traced")
    asked = fetcher.request("POST", "/api/v1/downloads", json={"name": "film.mkv"}, headers=TRACEPARENT)
    assert asked.status == 202, asked.data
    wait_for(lambda: fetcher.get(asked.headers["Location"])["state"] == "complete", "the download")
    expected = {
        *(("fetcher", name) for name in ("POST /api/v1/downloads", "download", "find manifest", "fetch")),
        *(("fetcher", name) for name in ("create file.published", "send minga.traced.events")),
        *((node, "process file.published") for node in ("holder", "listener")),
        ("holder", "serve pieces"),
    }
    wait_for(lambda: expected <= {(s.node, s.name) for s in otlp.spans(TRACE)}, "the spans of the whole way")
    wait_for(
        lambda: (
            len({s.name for s in otlp.spans(TRACE) if "GetManifest" in s.name and s.node == "holder"}) == 1
        ),
        "the manifest's call",
    )
    wait_for(lambda: len(sends(otlp)) == 2, "both messages are confirmed")
    spans = otlp.spans(TRACE)

    request = one(spans, "fetcher", "POST /api/v1/downloads")
    assert (request.parent, request.kind, request.service) == (CALLER, "SERVER", "minga-node")
    download = one(spans, "fetcher", "download")
    assert download.parent == request.id
    assert download.attributes["minga.file.name"] == "film.mkv"
    assert download.attributes["minga.bytes"] == str(3 * MIB + 17)

    manifest = one(spans, "fetcher", "find manifest")
    assert manifest.parent == download.id
    calls = [span for span in spans if span.name.strip("/") == "minga.v1.Content/GetManifest"]
    assert [(span.node, span.kind) for span in sorted(calls, key=lambda span: span.kind)] == [
        ("fetcher", "CLIENT"),
        ("holder", "SERVER"),
    ]
    call, answer = sorted(calls, key=lambda span: span.kind)
    assert (call.parent, answer.parent) == (manifest.id, call.id)

    fetches = [span for span in spans if span.name == "fetch"]
    assert {(span.node, span.parent, span.attributes["minga.peer"]) for span in fetches} == {
        ("fetcher", download.id, "holder")
    }
    # At the end of a swarm a piece may come twice.
    assert sum(int(span.attributes["minga.bytes"]) for span in fetches) >= 3 * MIB + 17
    # One span a connection, however many pieces came on it.
    pieces = [span for span in spans if span.name == "serve pieces"]
    assert len(pieces) <= len(fetches) <= 2
    assert {(span.node, span.kind) for span in pieces} == {("holder", "SERVER")}
    assert {span.parent for span in pieces} <= {span.id for span in fetches}

    created = one(spans, "fetcher", "create file.published")
    assert (created.parent, created.kind) == (download.id, "PRODUCER")
    assert len([span for span in sends(otlp) if span.parent == created.id]) == 1
    for node in (listener, holder):
        taken = one(spans, node.name, "process file.published")
        assert (taken.parent, taken.kind) == (created.id, "CONSUMER")
    lines = [json.loads(line) for line in fetcher.log.splitlines() if line.startswith("{")]
    (fetched,) = [line for line in lines if line["message"].startswith("fetched film.mkv")]
    assert (fetched["trace_id"], fetched["span_id"]) == (TRACE, download.id)
    # A consumer of yours can go on from there, by the event or by the message's header.
    assert outside.traces("file.published") == {created.traceparent}
    assert {span.node for span in spans} == {"holder", "fetcher", "listener"}
    assert not [span for span in spans if span.failed], otlp.tree(TRACE)


def test_a_job_through_the_broker_continues_the_trace(
    nodes: Nodes, broker: PrivateBroker, otlp: Receiver
) -> None:
    holder, *_ = network(nodes, broker, "jobs")
    identity = holder.get("/api/v1/files?name=film.mkv")["files"][0]["id"]
    asked = holder.request(
        "POST", "/api/v1/replications", json={"id": identity, "copies": 2}, headers=TRACEPARENT
    )
    assert asked.status == 202, asked.data
    # Each node sends its spans when it likes to.
    expected = {"process job.hold", "download", "create job.hold"}
    wait_for(lambda: expected <= {span.name for span in otlp.spans(TRACE)}, "the job's spans")
    spans = otlp.spans(TRACE)
    (job,) = [span for span in spans if span.name == "process job.hold"]
    assert job.node != "holder"
    assert one(spans, job.node, "download").parent == job.id
    created = one(spans, "holder", "create job.hold")
    assert job.parent == created.id


def test_what_nobody_asked_for_makes_no_trace(nodes: Nodes, broker: PrivateBroker, otlp: Receiver) -> None:
    holder, fetcher, _ = network(nodes, broker, "quiet")
    rounds = fetcher.metric("minga_grpc_requests_total", method="/minga.v1.Index/Reconcile")
    wait_for(
        lambda: fetcher.metric("minga_grpc_requests_total", method="/minga.v1.Index/Reconcile") > rounds + 2,
        "some rounds of gossip",
    )
    for path in ("/healthz", "/readyz", "/metrics"):
        assert holder.request("GET", path).status == 200
    holder.request("GET", "/api/v1/node", headers=TRACEPARENT)
    wait_for(lambda: otlp.spans(TRACE), "the span of the last request")
    names = {span.name for span in otlp.spans()}
    assert names <= {"GET /api/v1/node", "GET /api/v1/files"}, names


def test_a_node_ends_in_time_and_serves_without_the_receiver(nodes: Nodes, otlp: Receiver) -> None:
    otlp.server.shutdown()
    otlp.server.server_close()
    node = nodes.start("alone").ready()
    node.put("a.txt", b"hello")
    assert node.request("GET", "/files/a.txt").data == b"hello"
    assert node.terminate() == 0
    assert "Traceback" not in node.log


# Without the package, or without being asked, a node imports nothing of OpenTelemetry.

BEGIN = """
import sys, logging
logging.basicConfig(format="%(message)s")
import minga_node.main, minga_node.app
from minga_node import tracing
{before}
tracing.begin("me", "net", "1")
with tracing.span("x") as span:
    assert bool(tracing.traceparent()) is bool(span.traceparent) is tracing.on()
print("on" if tracing.on() else "off", any(name.startswith("opentelemetry") for name in sys.modules))
tracing.end()
"""
MISSING = "sys.modules['opentelemetry'] = None"


def begin(before: str = "", **environment: str) -> tuple[str, str]:
    """What a process says that begins tracing with these variables: its state, and its log."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    ended = subprocess.run(
        [sys.executable, "-c", BEGIN.format(before=before)],
        env={**clean, **environment},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    return ended.stdout.strip().splitlines()[-1], ended.stderr.strip()


ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}


@pytest.mark.parametrize(
    "environment",
    [{}, {"OTEL_TRACES_EXPORTER": "none", **ENDPOINT}, {"OTEL_SDK_DISABLED": "true", **ENDPOINT}],
    ids=["nothing", "none", "disabled"],
)
def test_nothing_of_opentelemetry_is_imported_unless_asked(environment: dict[str, str]) -> None:
    assert begin(**environment) == ("off False", "")


def test_the_console_gets_a_line_for_each_span() -> None:
    state, log = begin(OTEL_TRACES_EXPORTER="console")
    assert state.startswith("on")
    span = json.loads(log)
    assert span["name"] == "x"
    said = span["resource"]["attributes"]
    assert (said["service.name"], said["service.instance.id"], said["service.namespace"]) == (
        "minga-node",
        "me",
        "net",
    )


def test_the_environment_says_what_the_process_is() -> None:
    environment = {"OTEL_SERVICE_NAME": "library", "OTEL_RESOURCE_ATTRIBUTES": "team=a,service.instance.id=b"}
    _, log = begin(OTEL_TRACES_EXPORTER="console", **environment)
    said = json.loads(log)["resource"]["attributes"]
    assert (said["service.name"], said["service.instance.id"], said["team"]) == ("library", "b", "a")


@pytest.mark.parametrize(
    ("before", "environment", "said"),
    [
        (MISSING, ENDPOINT, "pip install 'minga-node[tracing]'"),
        ("", {"OTEL_TRACES_EXPORTER": "zipkin"}, "OTEL_TRACES_EXPORTER is zipkin: expected one of otlp"),
        ("", {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", **ENDPOINT}, "expected http/protobuf"),
    ],
    ids=["no package", "exporter", "protocol"],
)
def test_what_stands_in_the_way_is_one_line_and_no_reason_not_to_run(
    before: str, environment: dict[str, str], said: str
) -> None:
    state, log = begin(before, **environment)
    assert state.startswith("off")
    assert said in log
    assert len(log.splitlines()) == 1, log
