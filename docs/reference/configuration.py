"""The node's configuration."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic_core import PydanticUndefined

from docs.reference.markdown import code, table, whole
from minga_node.config import Config
from minga_node.config_file import PREFIX


def rows() -> str:
    """One row a key."""
    return table(
        ["key", "default", "what it is"],
        [
            [code(key), _default(field.get_default()), field.description or ""]
            for key, field in Config.model_fields.items()
        ],
    )


def _default(value: Any) -> str:
    if value is PydanticUndefined:
        return "(needed)"
    if value is None or value in {"", ()}:
        return ""
    return code(str(value).lower() if isinstance(value, bool) else value)


def page() -> str:
    """Every key with what it accepts."""
    schema = Config.model_json_schema()["properties"]
    accepted = table(
        ["key", "environment", "accepts"],
        [[code(key), code(PREFIX + key.upper()), _accepts(key, schema[key])] for key in Config.model_fields],
    )
    example = {
        "ip": "0.0.0.0",
        "port": 5000,
        "directory": str(Path("/srv/files")),
        "seed_peer": "http://peer2.example.com",
    }
    return whole(
        "Configuration",
        "`minga-node --config FILE` reads a JSON file. `directory` is the only key that is needed."
        f" Each key can be set by `{PREFIX}<KEY>` in the environment as well, which wins."
        " A wrong file is refused in one line that names the key, the value and what was expected; the exit"
        " status is then 2.",
        f"```json\n{json.dumps(example, indent=2)}\n```",
        "## Keys",
        rows(),
        "## What each accepts",
        accepted,
        "In the environment a list is written with commas. Traces have OpenTelemetry's own variables:"
        " [Trace a download](../how-to/tracing.md).",
    )


def _accepts(key: str, schema: dict[str, Any]) -> str:
    """A schema in words."""
    if "anyOf" in schema:
        choices = [_accepts(key, item) for item in schema["anyOf"] if item.get("type") != "null"]
        return " or ".join(choices)
    if "enum" in schema:
        return ", ".join(code(item) for item in schema["enum"])
    kind = schema.get("type", "text")
    if kind == "array":
        return "text, or a list of it"
    words = {"integer": "whole number", "number": "number", "boolean": "`true` or `false`", "string": "text"}
    bounds = [
        f"{words_} {schema[bound]:g}"
        for bound, words_ in (
            ("minimum", "from"),
            ("exclusiveMinimum", "more than"),
            ("maximum", "to"),
        )
        if bound in schema
    ]
    return " ".join([{"path": "path"}.get(schema.get("format", ""), words[kind]), *bounds])
