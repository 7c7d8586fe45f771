"""The contract for consumers, made from the types: ``python -m minga_node.events.schema`` prints it."""

from __future__ import annotations

import json
from typing import Any

from minga_node.events.cloud import TRACEPARENT
from minga_node.events.types import TYPES, Field, Kind, Type


def schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of every message."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Messages of a Minga network",
        "description": "CloudEvents 1.0 in JSON, one a message",
        "type": "object",
        "required": ["specversion", "id", "type", "source", "time", "data"],
        "properties": {
            "specversion": {"const": "1.0", "description": "of CloudEvents"},
            "id": {
                "type": "string",
                "minLength": 1,
                "description": "the same when the event comes again; unique with `source`",
            },
            "source": {
                "type": "string",
                "pattern": "^/networks/[^/]+/peers/[^/]+$",
                "description": "the node that tells it",
            },
            "time": {"type": "string", "format": "date-time", "description": "when it was told, RFC 3339"},
            "subject": {
                "type": "string",
                "description": "the file's name, the peer or the id that it is about",
            },
            "datacontenttype": {"const": "application/json", "description": "of `data`"},
            "traceparent": {
                "type": "string",
                "pattern": f"^{TRACEPARENT.pattern}$",
                "description": "the trace it belongs to (W3C), when its node writes traces",
            },
        },
        "oneOf": [_type(each) for each in TYPES.values()],
    }


def _type(each: Type) -> dict[str, Any]:
    return {
        "title": each.routing_key,
        "description": each.meaning,
        "properties": {
            "type": {"const": each.name},
            "data": {
                "type": "object",
                "required": [field.name for field in each.fields if not field.optional],
                "properties": {field.name: _field(field) for field in each.fields},
            },
        },
    }


def _field(field: Field) -> dict[str, Any]:
    made: dict[str, Any] = {"type": field.kind.value, "description": field.meaning}
    if field.kind is Kind.ID:
        made |= {"type": "string", "pattern": "^[0-9a-f]{64}$"}
    if field.kind is Kind.SIGNATURE:
        made |= {"type": "string", "pattern": "^[0-9a-f]{192}$"}
    return made


def text() -> str:
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    print(text(), end="")
