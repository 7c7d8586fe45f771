"""Writes the tables of the README that come from the code: ``python docs/reference.py [--check]``."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import cast

from pydantic_core import PydanticUndefined

from minga_node.config import Config
from minga_node.server.documented import Operation
from minga_node.server.rest import create_app
from minga_node.server.services import Services

README = Path(__file__).parent.parent / "README.md"


class _NoParts:
    """Stands for the parts of a node where no request will ever be served."""

    def __getattr__(self, name: str) -> _NoParts:
        return self


def configuration() -> str:
    """One row a key of the node's configuration."""
    rows = ["| key | default | what it is |", "|---|---|---|"]
    for key, field in Config.model_fields.items():
        default = field.get_default()
        if default is PydanticUndefined:
            shown = "(needed)"
        elif default is None or default in ("", ()):
            shown = ""
        elif isinstance(default, bool):
            shown = f"`{str(default).lower()}`"
        else:
            shown = f"`{default}`"
        rows.append(f"| `{key}` | {shown} | {field.description} |")
    return "\n".join(rows)


def rest() -> str:
    """One row a method and path."""
    rows = ["| request | what it does |", "|---|---|"]
    found: list[tuple[str, str, str]] = []
    app = create_app(cast(Services, _NoParts()))
    for rule in app.url_map.iter_rules():
        operations: Mapping[str, Operation] = getattr(app.view_functions[rule.endpoint], "operations", {})
        path = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule)
        for method, operation in operations.items():
            if method in (rule.methods or ()) and method != "HEAD":
                parameters = "&".join(f"{p.name}=" for p in operation.parameters)
                shown = f"{path}?{parameters}" if parameters else path
                found.append((path, f"{method} {shown}", operation.summary))
    rows += [f"| `{request}` | {summary} |" for _, request, summary in sorted(found)]
    return "\n".join(rows)


TABLES: Mapping[str, Callable[[], str]] = {"configuration": configuration, "rest": rest}


def filled(text: str) -> str:
    """The text with every table between its two marks made anew."""
    for name, table in TABLES.items():
        text = re.sub(
            rf"(<!-- {name} -->\n).*?(\n<!-- /{name} -->)",
            lambda match, table=table: f"{match[1]}{table()}{match[2]}",  # type: ignore[misc]
            text,
            flags=re.DOTALL,
        )
    return text


def main() -> int:
    text = README.read_text(encoding="utf-8")
    fresh = filled(text)
    if "--check" in sys.argv:
        if fresh != text:
            print("README.md's tables are not what the code says: run `make reference`", file=sys.stderr)
        return int(fresh != text)
    README.write_text(fresh, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
