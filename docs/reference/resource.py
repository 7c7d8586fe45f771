"""The fields of a P2PNetwork, from the CustomResourceDefinition."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from docs.reference.markdown import code, prose, table, whole
from minga_operator.crd import GROUP, KIND, VERSION, definition

Schema = dict[str, Any]


def page() -> str:
    """Fields of spec and status, columns and rules."""
    version: Schema = definition()["spec"]["versions"][0]
    schema: Schema = version["schema"]["openAPIV3Schema"]
    spec, status = schema["properties"]["spec"], schema["properties"]["status"]
    return whole(
        KIND,
        f"`apiVersion: {GROUP}/{VERSION}`, `kind: {KIND}`, namespaced. `kubectl explain p2pnetwork.spec` says"
        " the same of your cluster's version.",
        "## spec",
        prose(spec["description"]),
        *_groups(spec),
        "## status",
        table(
            ["field", "type", "what it is"],
            [
                [code(name), _type(field), field.get("description", "")]
                for name, field in sorted(status["properties"].items())
            ],
        ),
        "## Columns of `kubectl get`",
        table(
            ["column", "what it is", "shown"],
            [
                [
                    column["name"],
                    column["description"],
                    "with `-o wide`" if column.get("priority") else "always",
                ]
                for column in version["additionalPrinterColumns"]
            ],
        ),
        "## What is refused",
        "The API server refuses, besides values of a wrong type or outside their bounds:",
        "\n".join(f"- {message}" for message in _rules(schema)),
    )


def _groups(spec: Schema) -> Iterator[str]:
    """Fields without fields of their own first, then a section for each of the others."""
    plain = {name: field for name, field in spec["properties"].items() if not field.get("properties")}
    yield _rows("", {"properties": plain})
    for name, field in spec["properties"].items():
        if field.get("properties"):
            yield f"### {name}"
            yield f"{field['description']}."
            yield _rows(f"{name}.", field)


def _rows(prefix: str, schema: Schema) -> str:
    return table(["field", "type", "default", "what it is"], _fields(prefix, schema))


def _fields(prefix: str, schema: Schema) -> Iterator[list[str]]:
    needed = schema.get("required", ())
    for name, field in schema["properties"].items():
        if field.get("properties"):
            yield [code(prefix + name), "object", "", field.get("description", "")]
            yield from _fields(f"{prefix}{name}.", field)
        else:
            default = "(needed)" if name in needed else _default(field)
            yield [code(prefix + name), _type(field), default, field.get("description", "")]


def _default(field: Schema) -> str:
    default = field.get("default")
    if default in (None, "", {}, []):
        return ""
    return code(default if isinstance(default, str) else json.dumps(default))


def _type(field: Schema) -> str:
    if field.get("x-kubernetes-int-or-string"):
        return "quantity"
    if "enum" in field:
        return " or ".join(code(item) for item in field["enum"])
    kind = str(field.get("type", "anything"))
    if kind == "array":
        return f"list of {_type(field['items'])}"
    bounds = [
        f"{word} {field[key]}" for key, word in (("minimum", "from"), ("maximum", "to")) if key in field
    ]
    return " ".join([kind, *bounds])


def _rules(schema: Schema) -> Iterator[str]:
    for rule in schema.get("x-kubernetes-validations", ()):
        yield rule["message"]
    for field in schema.get("properties", {}).values():
        yield from _rules(field)
