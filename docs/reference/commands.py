"""The command line, as its own help says it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click

from docs.reference.markdown import whole
from minga_node.cli.main import group

WIDTH = 100


def page() -> str:
    """One section a command."""
    return whole(
        "Command line",
        "What `minga --help` and `minga COMMAND --help` say.",
        *_sections(group, None, "minga"),
    )


def _sections(command: click.Command, parent: click.Context | None, name: str) -> Iterator[str]:
    sizes: dict[str, Any] = {"terminal_width": WIDTH, "max_content_width": WIDTH}
    context = click.Context(command, parent, info_name=name, **sizes, **command.context_settings)
    path = context.command_path
    lines = (line.rstrip() for line in command.get_help(context).splitlines())
    yield "\n".join([f"## {path}", "", "```text", *lines, "```"])
    if isinstance(command, click.Group):
        for below in sorted(command.list_commands(context)):
            found = command.get_command(context, below)
            if found is not None and not found.hidden:
                yield from _sections(found, context, below)
