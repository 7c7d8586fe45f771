"""The tracing that is on: OpenTelemetry's SDK, its exporter and its instrumentation of Flask and gRPC.

The one module that imports opentelemetry. The variables ``OTEL_*`` mean what OpenTelemetry's specification
says; the SDK itself reads those of the sampler, of the batches and of the exporter.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import grpc
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.flask import FlaskInstrumentor
from opentelemetry.instrumentation.grpc import client_interceptor
from opentelemetry.instrumentation.grpc.grpcext import intercept_channel
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import (
    BatchSpanProcessor,
    ConsoleSpanExporter,
    SimpleSpanProcessor,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from minga_node.tracing import TRACEPARENT, Kind, Span, Tracing, Value

if TYPE_CHECKING:
    from flask import Flask

# What asks every few seconds whether a node lives tells nobody anything.
UNTRACED = "^https?://[^/]+/(healthz|readyz|metrics)$"
log = logging.getLogger(__name__)

EXPORTERS = ("otlp", "console", "none")
FLUSH_SECONDS = 2.0

_W3C = TraceContextTextMapPropagator()
_KINDS: dict[Kind, trace.SpanKind] = {
    "internal": trace.SpanKind.INTERNAL,
    "server": trace.SpanKind.SERVER,
    "client": trace.SpanKind.CLIENT,
    "producer": trace.SpanKind.PRODUCER,
    "consumer": trace.SpanKind.CONSUMER,
}


class _Span(Span):
    """A span of OpenTelemetry."""

    def __init__(self, span: trace.Span) -> None:
        self._span = span
        self._use: AbstractContextManager[trace.Span] | None = None
        self.traceparent = _traceparent(trace.set_span_in_context(span))

    def set(self, attributes: Mapping[str, Value]) -> None:
        self._span.set_attributes(attributes)

    def fail(self, why: str) -> None:
        self._span.set_status(trace.Status(trace.StatusCode.ERROR, why))

    def end(self) -> None:
        self._span.end()

    def __enter__(self) -> Span:
        self._use = trace.use_span(self._span, end_on_exit=True)
        self._use.__enter__()
        return self

    def __exit__(self, *raised: Any) -> None:
        if self._use is not None:
            self._use.__exit__(*raised)


class OpenTelemetry(Tracing):
    """Raises ValueError: the environment asks for an exporter that there is not."""

    on = True

    def __init__(self, peer_id: str, network: str, version: str) -> None:
        processors = _processors()
        resource = Resource.create({
            "service.name": "minga-node",
            "service.instance.id": peer_id,
            "service.namespace": network,
            "service.version": version,
        })
        # OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES win over what we say.
        resource = resource.merge(OTELResourceDetector().detect())
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        for processor in processors:
            self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("minga_node", version)
        # An exporter whose receiver is away says so with every batch.
        logging.getLogger("opentelemetry.exporter").setLevel(logging.CRITICAL)

    def span(self, name: str, kind: Kind, attributes: Mapping[str, Value] | None, parent: str | None) -> Span:
        context = None if parent is None else _context(parent)
        return _Span(self._tracer.start_span(name, context, _KINDS[kind], attributes))

    def traceparent(self) -> str:
        return _traceparent(None)

    def flask(self, app: Flask) -> None:
        excluded = os.environ.get("OTEL_PYTHON_FLASK_EXCLUDED_URLS", UNTRACED)
        FlaskInstrumentor.instrument_app(
            app, tracer_provider=self._provider, excluded_urls=excluded, enable_commenter=False
        )

    def grpc_channel(self, channel: grpc.Channel) -> grpc.Channel:
        traced: grpc.Channel = intercept_channel(
            channel, client_interceptor(self._provider, filter_=lambda _call: bool(self.traceparent()))
        )
        return traced

    def stop(self) -> None:
        # The SDK would try for half a minute to reach a receiver that is away; the node ends before.
        flush = threading.Thread(target=self._provider.shutdown, name="last spans", daemon=True)
        flush.start()
        flush.join(FLUSH_SECONDS)


def _processors() -> list[SpanProcessor]:
    asked = os.environ.get("OTEL_TRACES_EXPORTER") or "otlp"
    found: list[SpanProcessor] = []
    for name in (part.strip().lower() for part in asked.split(",")):
        if name not in EXPORTERS:
            raise ValueError(f"OTEL_TRACES_EXPORTER is {name}: expected one of {', '.join(EXPORTERS)}")
        if name == "console":
            found.append(SimpleSpanProcessor(ConsoleSpanExporter(out=sys.stderr, formatter=_line)))
        elif name == "otlp":
            _check_protocol()
            found.append(BatchSpanProcessor(OTLPSpanExporter()))
            log.info("traces go to %s", _endpoint())
    return found


def _line(span: ReadableSpan) -> str:
    """Among the log's lines, one of its own."""
    return str(span.to_json(indent=None)) + "\n"


def _endpoint() -> str:
    """Where the exporter sends them, without what an address may have of a password."""
    names = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
    asked = next((os.environ[name] for name in names if os.environ.get(name)), "http://localhost:4318")
    return asked.rsplit("@", 1)[-1]


def _check_protocol() -> None:
    names = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
    name = next((name for name in names if os.environ.get(name)), "")
    if name and os.environ[name] != "http/protobuf":
        raise ValueError(f"{name} is {os.environ[name]}: expected http/protobuf (port 4318 of a collector)")


def _context(traceparent: str) -> Context:
    return _W3C.extract({TRACEPARENT: traceparent}, Context())


def _traceparent(context: Context | None) -> str:
    carrier: dict[str, str] = {}
    _W3C.inject(carrier, context)
    return carrier.get(TRACEPARENT, "")
