"""``/api/v1/events``: what happens in the network, as it happens."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from flask import Blueprint, Response

from minga_node.events import Event
from minga_node.events.files import FILES
from minga_node.grants import Grant
from minga_node.server.access import by_name, granted, still_granted
from minga_node.server.documented import Operation, documented
from minga_node.server.http import AnswerStream
from minga_node.server.services import Services
from minga_node.streams import Pause

KEEP_ALIVE_SECONDS = 15.0
"""Seconds after which a line is sent though nothing happened: it shows whether the client is still there."""


def shows(event: Event, grant: Grant) -> bool:
    """Whether a caller may know of an event: of files by their names, of peers always."""
    if not grant.is_limited:
        return True
    kind = event.routing_key
    return grant.reads(event.text("name")) if kind in FILES else kind.startswith("peer.")


def blueprint(services: Services) -> Blueprint:
    routes = Blueprint("events", __name__)

    @routes.get("/api/v1/events")
    @by_name
    @documented(
        Operation("What happens in the network from now on", {200: "server-sent events: a CloudEvent each"})
    )
    def events() -> Response:
        return Response(
            AnswerStream(follow(granted(), still_granted(services))),
            content_type="text/event-stream",
            headers={"Cache-Control": "no-store"},
            direct_passthrough=True,
        )

    def follow(grant: Grant, still: Callable[[], bool]) -> Iterator[bytes | Pause]:
        # The client knows at once that it is heard.
        yield b": following\n\n"
        said = time.monotonic()
        for event in services.feed.follow(KEEP_ALIVE_SECONDS):
            if services.stopping.is_set() or not still():
                return
            now = time.monotonic()
            if isinstance(event, Pause):
                yield event
            elif event is not None and shows(event, grant):
                yield b"event: " + event.routing_key.encode() + b"\ndata: " + event.encode() + b"\n\n"
                said = now
            elif now - said > KEEP_ALIVE_SECONDS:
                yield b": nothing new\n\n"
                said = now

    return routes
