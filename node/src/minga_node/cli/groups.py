"""The command group: help by subject, and an end of one line for whatever goes wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from minga_node.cli.client import ClientError
from minga_node.cli.output import echo

SUBJECTS = {
    "Files": ("ls", "search", "info", "get", "put", "rm"),
    "Requests": ("downloads", "want", "wants", "replicate", "replications", "drop", "jobs", "dead-letters"),
    "Network": ("status", "peers", "events", "doctor", "token"),
    "This machine": ("up", "down", "context", "completion"),
}


class Group(click.Group):
    """Ends with one line and an exit code of ours, never with a traceback."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except ClientError as error:
            echo(f"minga: {error}", err=True)
            ctx.exit(error.exit_code)
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            echo(f"minga: {where}{error.strerror or error}", err=True)
            ctx.exit(1)

    def main(self, *arguments: Any, **options: Any) -> Any:
        """As click does it, but a wrong usage is one line that says where the right one is explained."""
        run: Callable[..., Any] = super().main
        if not options.pop("standalone_mode", True):
            return run(*arguments, standalone_mode=False, **options)
        try:
            code = run(*arguments, standalone_mode=False, **options)
        except click.UsageError as error:
            command = error.ctx.command_path if error.ctx is not None else "minga"
            message = " ".join(error.format_message().split())
            echo(f"minga: {message} (see `{command} --help`)", err=True)
            raise SystemExit(error.exit_code) from None
        except click.ClickException as error:
            echo(f"minga: {error.format_message()}", err=True)
            raise SystemExit(error.exit_code) from None
        except click.Abort:
            echo("interrupted", err=True)
            raise SystemExit(130) from None
        raise SystemExit(code if isinstance(code, int) else 0)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """By subject; whatever has none comes last."""
        named = {name for names in SUBJECTS.values() for name in names}
        rest = tuple(name for name in self.list_commands(ctx) if name not in named)
        for subject, names in {**SUBJECTS, "Others": rest}.items():
            rows = [
                (name, command.get_short_help_str(formatter.width - 20))
                for name in names
                if (command := self.get_command(ctx, name)) is not None and not command.hidden
            ]
            if rows:
                with formatter.section(subject):
                    formatter.write_dl(rows)
