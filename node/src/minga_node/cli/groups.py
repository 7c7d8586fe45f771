"""The command group: help by subject, words that people type, and an end of one line for what goes wrong."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

import click

from minga_node.cli import spelling
from minga_node.cli.anywhere import Arguments
from minga_node.cli.client import ClientError
from minga_node.cli.output import as_json, echo

SUBJECTS = {
    "Files": ("ls", "search", "info", "get", "put", "rm"),
    "Requests": ("downloads", "want", "wants", "replicate", "replications", "drop", "jobs", "dead-letters"),
    "Network": ("status", "peers", "events", "doctor", "token"),
    "This machine": ("up", "down", "context", "completion", "help", "version"),
}
INTERRUPTED = 130
"""As of a program that SIGINT ended (128 and the number of the signal, as shells tell it)."""
READER_GONE = 141
"""As of a program that SIGPIPE ended."""


class _ReaderGone(Exception):
    """Whoever read our output does so no more."""


class Words(click.Group):
    """A group that knows other words for its commands, and shows its help when it is named alone."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        command = self.named(self, args[0])
        if command is None and not ctx.resilient_parsing:
            raise click.UsageError(spelling.unknown(args[0], self.list_commands(ctx)), ctx)
        return (command.name if command else None), command, args[1:]

    @staticmethod
    def named(group: click.Command, word: str) -> click.Command | None:
        """The command of a group that a word means, by its name or by another word for it."""
        assert isinstance(group, click.Group)
        return group.commands.get(word) or group.commands.get(spelling.ALIASES.get(word, ""))


class Group(Words):
    """Ends with one line and an exit code of ours, never with a traceback."""

    group_class = Words

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        front, rest = Arguments(self, self.named).split(args)
        return super().parse_args(ctx, [*front, *rest])

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            # click would end with 1.
            raise _ReaderGone from None

    def main(self, *arguments: Any, **options: Any) -> Any:
        """As click does it, but what goes wrong is one line that says where the right way is explained."""
        run: Callable[..., Any] = super().main
        if not options.pop("standalone_mode", True):
            return run(*arguments, standalone_mode=False, **options)
        code = _ended(
            lambda: run(*arguments, standalone_mode=False, **options),
            self._is_for_programs(arguments, options),
        )
        raise SystemExit(code)

    def _is_for_programs(self, arguments: tuple[Any, ...], options: dict[str, Any]) -> bool:
        """Whether errors are JSON too; known before the command line is, as that may be what is wrong."""
        given = arguments[0] if arguments else options.get("args")
        front, _ = Arguments(self, self.named).split(sys.argv[1:] if given is None else given)
        said = " ".join(front).replace("=", " ").replace("--output", "-o").replace("-o ", "-o")
        return not {"--json", "-ojson", "-oyaml"}.isdisjoint(said.split())

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


def _ended(run: Callable[[], Any], for_programs: bool) -> int:
    """Runs a command to its end, whatever that is; the exit code."""
    try:
        code = run()
        sys.stdout.flush()
    except click.exceptions.NoArgsIsHelpError as error:
        echo(error.message)
        return 0
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx is not None else "minga"
        message = " ".join(error.format_message().split())
        return _refused(f"{message} (see `{command} --help`)", error.exit_code, for_programs)
    except click.ClickException as error:
        return _refused(error.format_message(), error.exit_code, for_programs)
    except ClientError as error:
        return _refused(str(error), error.exit_code, for_programs, error.problem)
    except (click.Abort, KeyboardInterrupt):
        return _refused("interrupted", INTERRUPTED, for_programs)
    except (_ReaderGone, BrokenPipeError):
        # The reader of our output went away, as `head` does: nothing more can be said there.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return READER_GONE
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _refused(f"{where}{error.strerror or error}", 1, for_programs)
    return code if isinstance(code, int) else 0


def _refused(message: str, code: int, for_programs: bool, problem: dict[str, Any] | None = None) -> int:
    """Says on standard error what went wrong."""
    if for_programs:
        kind = (problem or {}).get("type")
        said = {"error": message, "exit_code": code, **({"type": kind} if kind else {})}
        echo(as_json(said), err=True)
    else:
        echo(f"minga: {message}", err=True)
    return code
