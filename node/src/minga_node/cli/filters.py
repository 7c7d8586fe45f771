"""The options by which ``minga ls`` and ``minga search`` choose and sort, as ``/api/v1/files`` takes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from minga_node.cli import completion
from minga_node.cli.amounts import Amount

SORTS = ("relevance", "name", "size", "modified", "holders")
"""As the index has them; not taken from there, which would make every command start a little later."""
OPTIONS = (
    click.option("--local", is_flag=True, help="Only what the node itself has."),
    click.option("--type", "media_type", metavar="TYPE", help="Media type, such as image/png or 'image/*'."),
    click.option("--min-size", type=Amount(), metavar="BYTES", help="Bytes at least, such as 500k or 2G."),
    click.option("--max-size", type=Amount(), metavar="BYTES", help="Bytes at most."),
    click.option("--holder", metavar="PEER", shell_complete=completion.peers, help="What this peer has."),
    click.option(
        "--copies", type=click.IntRange(1), metavar="N", help="Complete copies at least, online or not."
    ),
    click.option("--available", is_flag=True, help="Only with a complete holder online."),
    click.option("--sort", type=click.Choice(SORTS), help="Order; by default what fits best, else by name."),
    click.option("--reverse", "-r", is_flag=True, help="The other way round."),
)


F = TypeVar("F", bound=Callable[..., Any])


def filters(command: F) -> F:
    """Gives a command these options; :func:`asked` takes what they say."""
    for option in reversed(OPTIONS):
        command = option(command)
    return command


def asked(
    *,
    local: bool,
    media_type: str | None,
    min_size: int | None,
    max_size: int | None,
    holder: str | None,
    copies: int | None,
    available: bool,
    sort: str | None,
    reverse: bool,
) -> dict[str, Any]:
    """Parameters of ``/api/v1/files``.

    Raises:
        UsageError: these cannot go together.
    """
    if reverse and sort in {None, "relevance"}:
        raise click.UsageError("--reverse goes with --sort name, size, modified or holders")
    if min_size is not None and max_size is not None and min_size > max_size:
        raise click.UsageError("--min-size is more than --max-size")
    return {
        "scope": "local" if local else None,
        "media_type": media_type,
        "min_size": min_size,
        "max_size": max_size,
        "holder": holder,
        "min_holders": copies,
        "available": "true" if available else None,
        "sort": f"-{sort}" if reverse else sort,
    }
