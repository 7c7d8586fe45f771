"""The Flask app of a node: all routes, the page, errors, and a metric for each request."""

from __future__ import annotations

import time
from collections.abc import Callable

from flask import Flask, Response, g, request
from prometheus_client import Counter, Histogram

from minga_node import tracing
from minga_node.metrics import REST_REQUESTS, REST_SECONDS
from minga_node.server import (
    access,
    archive,
    downloads,
    drain,
    events,
    files,
    flows,
    health,
    openapi,
    page,
    peers,
    pieces,
    problems,
    requests,
    same_origin,
    session,
)
from minga_node.server.early import Early
from minga_node.server.lean import LeanFlask
from minga_node.server.names import NameConverter
from minga_node.server.services import Services

RESERVED = {"probes": 2, "control": 4}
"""Lanes that nothing else can fill, and their threads: for what must be answered on the worst of days."""
METHODS = {"GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS", "PATCH"}


def kind(method: str, target: bytes) -> str:
    """The lane of a request; "" for the general one."""
    if target in {b"/healthz", b"/readyz"}:
        return "probes"
    if target == b"/metrics" or (method == "DELETE" and target.startswith(b"/api/v1/downloads/")):
        return "control"
    return ""


def create_app(services: Services) -> tuple[Flask, Early]:
    """The app, and what is asked before the body of a request has come."""
    app = LeanFlask("minga_node.server", static_folder=None)
    app.url_map.converters["name"] = NameConverter
    # A name with // in it is a wrong name, not another address.
    app.url_map.merge_slashes = False
    tracing.flask(app)
    problems.install(app, services.library.away)
    checks = [_measure(app), same_origin.install(app, services), access.install(app, services)]
    for blueprint in (
        files.blueprint(services),
        pieces.blueprint(services),
        archive.blueprint(services),
        downloads.blueprint(services),
        drain.blueprint(services),
        peers.blueprint(services),
        events.blueprint(services),
        requests.blueprint(services),
        flows.blueprint(services),
        health.blueprint(services),
        session.blueprint(services),
        openapi.blueprint(services),
        page.blueprint(),
    ):
        app.register_blueprint(blueprint)
    return app, Early(app, checks)


def _measure(app: Flask) -> Callable[[], None]:
    counters: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}
    """The metrics of what was asked before: as many as there are routes, methods and statuses."""

    @app.before_request
    def _begin() -> None:
        g.began = time.monotonic()

    @app.after_request
    def _end(response: Response) -> Response:
        route = request.url_rule.rule if request.url_rule is not None else "unmatched"
        method = request.method if request.method in METHODS else "other"
        key = method, route, response.status_code
        found = counters.get(key)
        if found is None:
            found = counters[key] = (REST_REQUESTS.labels(*key), REST_SECONDS.labels(method, route))
        found[0].inc()
        found[1].observe(time.monotonic() - g.began)
        return response

    return _begin
