"""A receiver of OpenTelemetry's spans: OTLP as protocol buffers over HTTP, as a collector listens for it."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span as Encoded
from opentelemetry.proto.trace.v1.trace_pb2 import Status


@dataclass(frozen=True)
class Received:
    """One span; ids in hex."""

    trace: str
    id: str
    parent: str
    name: str
    kind: str
    """Such as ``SERVER``."""
    node: str
    """The ``service.instance.id`` of the process it comes from."""
    service: str
    attributes: dict[str, str]
    failed: bool
    start: int
    end: int
    """Nanoseconds since 1970."""

    @property
    def traceparent(self) -> str:
        """What whoever continues from here is told."""
        return f"00-{self.trace}-{self.id}-01"


class Receiver:
    """What has come, and where to send it."""

    def __init__(self) -> None:
        self._spans: list[Received] = []
        self._lock = threading.Lock()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                receiver.take(ExportTraceServiceRequest.FromString(body))
                answer = ExportTraceServiceResponse().SerializeToString()
                self.send_response(200 if self.path == "/v1/traces" else 404)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_arguments: object) -> None:
                """Tests show what came, when they fail."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def take(self, request: ExportTraceServiceRequest) -> None:
        found = []
        for resource in request.resource_spans:
            about = _texts(resource.resource.attributes)
            for scope in resource.scope_spans:
                found += [
                    Received(
                        span.trace_id.hex(),
                        span.span_id.hex(),
                        span.parent_span_id.hex(),
                        span.name,
                        Encoded.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
                        about.get("service.instance.id", ""),
                        about.get("service.name", ""),
                        _texts(span.attributes),
                        span.status.code == Status.STATUS_CODE_ERROR,
                        span.start_time_unix_nano,
                        span.end_time_unix_nano,
                    )
                    for span in scope.spans
                ]
        with self._lock:
            self._spans += found

    def spans(self, trace: str | None = None) -> list[Received]:
        with self._lock:
            return [span for span in self._spans if trace in {None, span.trace}]

    def tree(self, trace: str) -> str:
        """One trace for people, who compare it with what they expected."""
        spans = sorted(self.spans(trace), key=lambda span: span.start)
        known = {span.id for span in spans}

        def below(parent: str, depth: int) -> Iterator[str]:
            for span in spans:
                if span.parent == parent or (not depth and span.parent not in known):
                    yield f"{'  ' * depth}{span.node}: {span.name} [{span.kind}]"
                    yield from below(span.id, depth + 1)

        return "\n".join(below("", 0))


@contextmanager
def receiver() -> Iterator[Receiver]:
    """Listens on loopback until the end of the block."""
    made = Receiver()
    thread = threading.Thread(target=made.server.serve_forever, args=(0.05,), name="otlp")
    thread.start()
    try:
        yield made
    finally:
        made.server.shutdown()
        made.server.server_close()
        thread.join()


def _texts(attributes: object) -> dict[str, str]:
    found: dict[str, str] = {}
    for pair in attributes:  # type: ignore[attr-defined]
        assert isinstance(pair, KeyValue)
        kind = pair.value.WhichOneof("value")
        found[pair.key] = str(getattr(pair.value, kind)) if kind else ""
    return found
