"""The OpenAPI 3.1 document, made from the routes and what they say of themselves."""

from __future__ import annotations

import re
from typing import Any

from flask import Blueprint, Flask, Response, current_app, jsonify
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from minga_node.grants import Scope
from minga_node.server.access import cookie_name, for_everybody, is_for_everybody, needed
from minga_node.server.documented import Operation, documented
from minga_node.server.schemas import ProblemOut
from minga_node.server.services import Services
from minga_node.version import VERSION

REFERENCE = "#/components/schemas/{model}"


def describe(app: Flask, network: str = "minga") -> dict[str, Any]:
    """The document for every documented route of the app."""
    paths: dict[str, dict[str, Any]] = {}
    models: set[type[BaseModel]] = {ProblemOut}
    for rule in app.url_map.iter_rules():
        view = app.view_functions[rule.endpoint]
        operations: dict[str, Operation] = getattr(view, "operations", {})
        path = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule)
        for method, operation in operations.items():
            if method in (rule.methods or ()):
                described = _operation(path, rule.endpoint, method, operation)
                described["security"] = [] if is_for_everybody(view) else _security(needed(method, view))
                paths.setdefault(path, {})[method.lower()] = described
                models.update(m for m in (*operation.answers.values(), operation.body) if isinstance(m, type))
    _, definitions = models_json_schema([(m, "serialization") for m in models], ref_template=REFERENCE)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Minga node",
            "version": VERSION,
            "description": "One peer of a Minga network. Errors are problem documents (RFC 9457)."
            " A node without tokens takes requests without any.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": definitions["$defs"],
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer"},
                "session": {"type": "apiKey", "in": "cookie", "name": cookie_name(network)},
            },
        },
    }


def _operation(path: str, endpoint: str, method: str, operation: Operation) -> dict[str, Any]:
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"{(\w+)}", path)
    ] + [
        {"name": p.name, "in": "query", "description": p.description, "schema": dict(p.schema)}
        for p in operation.parameters
    ]
    responses: dict[str, Any] = {
        str(status): {"description": what, **_no_json(what)}
        if isinstance(what, str)
        else {"description": operation.summary, "content": {"application/json": {"schema": _schema(what)}}}
        for status, what in operation.answers.items()
    }
    responses["default"] = {
        "description": "A problem",
        "content": {"application/problem+json": {"schema": _schema(ProblemOut)}},
    }
    described: dict[str, Any] = {
        "operationId": f"{endpoint.replace('.', '_')}_{method.lower()}",
        "summary": operation.summary,
        "tags": [endpoint.split(".", maxsplit=1)[0]],
        "parameters": parameters,
        "responses": responses,
    }
    if isinstance(operation.body, str):
        described["requestBody"] = {"content": {operation.body: {}}}
    elif operation.body is not None:
        described["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": _schema(operation.body)}},
        }
    return described


def _security(scope: Scope) -> list[dict[str, list[str]]]:
    """Either of the two will do; the role is what the token must be good for."""
    role = [str(scope)]
    return [{"token": role}, {"session": role}]


def _no_json(what: str) -> dict[str, Any]:
    return {} if what in {"no body", "done"} else {"content": {"*/*": {}}}


def _schema(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": REFERENCE.format(model=model.__name__)}


def blueprint(services: Services) -> Blueprint:
    routes = Blueprint("openapi", __name__)

    @routes.get("/api/v1/openapi.json")
    @for_everybody
    @documented(Operation("This document", {200: "OpenAPI 3.1"}))
    def openapi() -> Response:
        return jsonify(describe(current_app, services.config.network))

    return routes
