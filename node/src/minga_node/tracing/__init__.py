"""Spans of what a node does, for OpenTelemetry, when its environment variables ask for them.

Off by default, and then nothing of OpenTelemetry is imported: every call here ends in a method that does
nothing. A context crosses threads, nodes and the broker as a W3C ``traceparent``, a plain string that is
empty while there is nothing to follow.

Threads: none while it is off. OpenTelemetry's exporter has one, and at the end another one sends the last
spans, for two seconds at most.

Locks: none of its own. The current span is a context variable.

Lifetime: tracing begins before the parts of a node are made and ends after all of them have.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import grpc
    from flask import Flask

log = logging.getLogger(__name__)

TRACEPARENT = "traceparent"
"""The header's name, and that of the CloudEvents extension."""

Value = str | int | float | bool
Kind = Literal["internal", "server", "client", "producer", "consumer"]


class Span:
    """One piece of work. This one is of no trace."""

    traceparent = ""
    """What continues the trace from here; empty when there is none."""

    def set(self, attributes: Mapping[str, Value]) -> None:
        """Says more of the work."""

    def fail(self, why: str) -> None:
        """The work was in vain."""

    def end(self) -> None:
        """From any thread; once."""

    def __enter__(self) -> Span:
        """Makes it what :func:`traceparent` of this thread gives, until the block ends, and the span with
        it.
        """
        return self

    def __exit__(self, *_raised: object) -> None:
        """An exception fails the span, and goes on."""


NOTHING = Span()


class Tracing:
    """Where spans go. This one is off."""

    on = False

    def span(
        self, _name: str, _kind: Kind, _attributes: Mapping[str, Value] | None, _parent: str | None
    ) -> Span:
        return NOTHING

    def traceparent(self) -> str:
        return ""

    def flask(self, app: Flask) -> None:
        """Spans of an app's requests."""

    def grpc_channel(self, channel: grpc.Channel) -> grpc.Channel:
        """A channel whose calls continue the caller's trace, if there is one."""
        return channel

    def stop(self) -> None:
        """Sends what waits."""


_OFF = Tracing()
_current = _OFF


def wanted(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether the standard variables ask for traces: an exporter, or an endpoint to send them to."""
    if environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    exporter = environment.get("OTEL_TRACES_EXPORTER", "").strip().lower()
    if exporter:
        return exporter != "none"
    names = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
    return any(environment.get(name, "").strip() for name in names)


def begin(peer_id: str, network: str, version: str) -> None:
    """Turns tracing on for the process, if the environment asks for it. A node runs without it as well, so
    what stands in the way is a warning.
    """
    global _current
    if not wanted():
        return
    try:
        from minga_node.tracing.otel import OpenTelemetry

        _current = OpenTelemetry(peer_id, network, version)
    except ImportError as error:
        log.warning("no traces: pip install 'minga-node[tracing]' is needed for them (%s)", error)
    except ValueError as error:
        log.warning("no traces: %s", error)


def end() -> None:
    """Sends what waits, and turns tracing off."""
    global _current
    before, _current = _current, _OFF
    before.stop()


def on() -> bool:
    return _current.on


def span(
    name: str,
    kind: Kind = "internal",
    attributes: Mapping[str, Value] | None = None,
    *,
    parent: str | None = None,
) -> Span:
    """Begins a span, to be ended by ``with`` or :meth:`Span.end`.

    Args:
        name: of few different ones; what is special goes into the attributes.
        parent: the traceparent it continues, empty for a new trace; by default this thread's.
    """
    return _current.span(name, kind, attributes, parent)


def traceparent() -> str:
    """This thread's context; empty outside of any span."""
    return _current.traceparent()


def flask(app: Flask) -> None:
    """See :meth:`Tracing.flask`."""
    _current.flask(app)


def grpc_channel(channel: grpc.Channel) -> grpc.Channel:
    """See :meth:`Tracing.grpc_channel`."""
    return _current.grpc_channel(channel)
