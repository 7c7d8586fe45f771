"""``/api/v1/events``: what happens in the network, as it happens."""

from __future__ import annotations

import time
from collections.abc import Iterator

from flask import Blueprint, Response

from minga_node.server.documented import Operation, documented
from minga_node.server.http import AnswerStream
from minga_node.server.services import Services
from minga_node.streams import Pause

KEEP_ALIVE = 15.0
"""Seconds after which a line is sent though nothing happened: it shows whether the client is still there."""


def blueprint(services: Services) -> Blueprint:
    routes = Blueprint("events", __name__)

    @routes.get("/api/v1/events")
    @documented(
        Operation("What happens in the network from now on", {200: "server-sent events: a CloudEvent each"})
    )
    def events() -> Response:
        return Response(
            AnswerStream(follow()),
            content_type="text/event-stream",
            headers={"Cache-Control": "no-store"},
            direct_passthrough=True,
        )

    def follow() -> Iterator[bytes | Pause]:
        # The client knows at once that it is heard.
        yield b": following\n\n"
        said = time.monotonic()
        for event in services.feed.follow(KEEP_ALIVE):
            if services.stopping.is_set():
                return
            now = time.monotonic()
            if isinstance(event, Pause):
                yield event
            elif event is not None:
                yield b"event: " + event.routing_key.encode() + b"\ndata: " + event.encode() + b"\n\n"
                said = now
            elif now - said > KEEP_ALIVE:
                yield b": nothing new\n\n"
                said = now

    return routes
