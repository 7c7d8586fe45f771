"""Probes and metrics."""

from __future__ import annotations

from flask import Blueprint, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from minga_node.server.access import for_everybody
from minga_node.server.documented import Operation, documented
from minga_node.server.problems import problem
from minga_node.server.schemas import HealthOut, ProblemOut, ReadyOut, answer
from minga_node.server.services import Services


def blueprint(services: Services) -> Blueprint:
    routes = Blueprint("health", __name__)

    @routes.get("/healthz")
    @for_everybody
    @documented(Operation("Whether the process lives", {200: HealthOut, 503: ProblemOut}))
    def healthz() -> Response:
        if dead := services.dead():
            return problem("dead", "The node needs a restart", 503, "; ".join(dead))
        return answer(HealthOut(status="ok"))

    @routes.get("/readyz")
    @for_everybody
    @documented(
        Operation("Whether the node has joined its network and serves", {200: ReadyOut, 503: ProblemOut})
    )
    def readyz() -> Response:
        if problems := services.problems():
            return problem("not-ready", "The node is not ready", 503, "; ".join(problems))
        lacking = services.broker_problem()
        return answer(ReadyOut(status="ready", degraded=[f"broker: {lacking}"] if lacking else []))

    @routes.get("/metrics")
    @for_everybody
    @documented(Operation("Metrics for Prometheus", {200: "Prometheus' text format"}))
    def metrics() -> Response:
        return Response(generate_latest(), content_type=CONTENT_TYPE_LATEST)

    return routes
