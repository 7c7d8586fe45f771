"""REST, from the OpenAPI document that every node serves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

from docs.reference.markdown import cell, code, prose, table, whole
from minga_node import errors
from minga_node.server.http.problems import TYPE_PREFIX
from minga_node.server.openapi import describe
from minga_node.server.rest import create_app
from minga_node.server.services import Services

Schema = Mapping[str, Any]


class _NoParts:
    """Stands for the parts of a node where no request will ever be served."""

    def __getattr__(self, name: str) -> _NoParts:
        return self


def _document() -> dict[str, Any]:
    return describe(create_app(cast(Services, _NoParts()))[0])


def _operations(document: Schema) -> Iterator[tuple[str, str, Schema]]:
    """Path, method and operation, in a stable order."""
    for path, methods in sorted(document["paths"].items()):
        for method, operation in sorted(methods.items()):
            if method != "head":
                yield path, method.upper(), operation


def rows() -> str:
    """One row a method and path."""
    found = []
    for path, method, operation in _operations(_document()):
        query = "&".join(f"{p['name']}=" for p in operation["parameters"] if p["in"] == "query")
        request = f"{method} {path}?{query}" if query else f"{method} {path}"
        found.append([code(request), operation["summary"]])
    return table(["request", "what it does"], found)


def page() -> str:
    """Every operation, the schemas, the problems."""
    document = _document()
    schemas: dict[str, Schema] = document["components"]["schemas"]
    return whole(
        "REST",
        "The whole description, for tools, is at `/api/v1/openapi.json` of every node (OpenAPI 3.1)."
        " What a request needs where a node has [tokens](../how-to/access.md) is said with it:"
        " `write` includes `read`.",
        rows(),
        *(_operation(*found) for found in _operations(document)),
        "## Schemas",
        *(_schema(name, schema) for name, schema in sorted(schemas.items())),
        "## Problems",
        "Errors are problem documents (RFC 9457) of the type `application/problem+json`. Their `type` is"
        f" stable: `{TYPE_PREFIX}` and one of these.",
        table(
            ["type", "status", "title"],
            [
                [code(kind.type), str(kind.status), kind.title]
                for kind in sorted(_problems(errors.MingaError), key=lambda kind: (kind.status, kind.type))
            ],
        ),
    )


def _problems(kind: type[errors.MingaError]) -> Iterator[type[errors.MingaError]]:
    if "type" in vars(kind):
        yield kind
    for below in kind.__subclasses__():
        yield from _problems(below)


def _operation(path: str, method: str, operation: Schema) -> str:
    parts = [f"## {method} {path}", f"{operation['summary']}.", _right(operation)]
    if operation["parameters"]:
        parts.append(
            table(
                ["parameter", "in", "type", "what it is"],
                [
                    [code(p["name"]), p["in"], _type(p["schema"]), p.get("description", "")]
                    for p in operation["parameters"]
                ],
            )
        )
    for media, content in operation.get("requestBody", {}).get("content", {}).items():
        shown = f", {_type(content['schema'])}" if "schema" in content else ""
        parts.append(f"Body: `{media}`{shown}.")
    answers = [
        [status, _answer(answer)] for status, answer in operation["responses"].items() if status != "default"
    ]
    parts.append(table(["status", "answer"], answers))
    return "\n\n".join(parts)


def _right(operation: Schema) -> str:
    roles = {role for scheme in operation["security"] for (role,) in scheme.values()}
    return f"Token: {code(roles.pop())}." if roles else "Token: none."


def _answer(answer: Schema) -> str:
    for content in answer.get("content", {}).values():
        if "schema" in content:
            return _type(content["schema"])
    return str(answer["description"])


def _schema(name: str, schema: Schema) -> str:
    heading = f"### {name}"
    about = prose(schema.get("description", ""))
    if "enum" in schema:
        return "\n\n".join(filter(None, [heading, about, ", ".join(code(item) for item in schema["enum"])]))
    needed = schema.get("required", ())
    fields = [
        [code(key), _type(value) + ("" if key in needed else ", optional"), value.get("description", "")]
        for key, value in schema.get("properties", {}).items()
    ]
    return "\n\n".join(filter(None, [heading, about, table(["field", "type", "what it is"], fields)]))


def _type(schema: Schema) -> str:
    """A schema in a few words, with a link to one that has a name."""
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[1]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in schema:
        return " or ".join(_type(item) for item in schema["anyOf"])
    if "enum" in schema:
        return " or ".join(code(item) for item in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_type(schema['items'])}" if "items" in schema else "list"
    bounds = [
        f"{word} {schema[key]}" for key, word in (("minimum", "from"), ("maximum", "to")) if key in schema
    ]
    default = f", default {code(schema['default'])}" if schema.get("default") not in {None, ""} else ""
    return cell(" ".join([schema.get("type", "anything"), *bounds]) + default)
