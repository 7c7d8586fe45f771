"""``minga help`` and ``minga version``, for those who type them as commands."""

from __future__ import annotations

import click

from minga_node.cli import spelling
from minga_node.cli.client import Client
from minga_node.cli.groups import Words
from minga_node.cli.output import Output, echo
from minga_node.version import VERSION


@click.command("help")
@click.argument("words", nargs=-1, metavar="[COMMAND]...")
@click.pass_context
def help_command(ctx: click.Context, words: tuple[str, ...]) -> None:
    """Shows the help of minga or of one of its commands.

    \b
    Examples:
      minga help
      minga help get
    """
    shown = ctx.find_root()
    for word in words:
        command = Words.named(shown.command, word) if isinstance(shown.command, click.Group) else None
        if command is None:
            known = shown.command.list_commands(shown) if isinstance(shown.command, click.Group) else []
            raise click.UsageError(spelling.unknown(word, known), shown)
        shown = click.Context(command, shown, info_name=command.name)
    echo(shown.get_help())


@click.command()
@click.pass_obj
def version(obj: tuple[Client, Output]) -> None:
    """Shows the version of this command.

    \b
    Examples:
      minga version
    """
    output = obj[1]
    if output.for_programs:
        output.data({"version": VERSION})
    else:
        echo(f"minga {VERSION}")


COMMANDS = (help_command, version)
