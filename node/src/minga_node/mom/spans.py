"""Spans of what messages do here."""

from __future__ import annotations

from minga_node import tracing
from minga_node.events import Event


def span_of(event: Event) -> tracing.Span:
    """The span of the effect that a message has here; none where the message belongs to no trace."""
    if not event.traceparent:
        return tracing.NOTHING
    attributes = {
        "messaging.system": "rabbitmq",
        "messaging.operation.name": "process",
        "messaging.message.id": event.id,
    }
    return tracing.span(f"process {event.routing_key}", "consumer", attributes, parent=event.traceparent)
