"""Shell completion: of commands by click, of file names and peers from the index."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from typing import Any

import click
from click.shell_completion import CompletionItem, get_completion_class

from minga_node.cli.client import Client, ClientError
from minga_node.cli.target import chosen
from minga_node.visible import visible

MOST = 200


def names(ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Files of the network that begin with what was typed; with --recursive their folders."""
    found = _names(ctx, incomplete)
    if ctx.params.get("recursive"):
        rests = (name.removeprefix(incomplete) for name in found)
        found = [incomplete + rest[: rest.index("/") + 1] for rest in rests if "/" in rest]
    return _items(found, incomplete)


def local_names(ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Files of the node itself."""
    return _items(_names(ctx, incomplete, scope="local"), incomplete)


def peers(ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Peers, this node among them."""
    others = [peer["id"] for peer in _ask(ctx, "/api/v1/peers").get("peers", [])]
    own = _ask(ctx, "/api/v1/node").get("id", "")
    return _items([own, *others], incomplete)


def downloads(ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Downloads that have not ended, with their names."""
    rows = _ask(ctx, "/api/v1/downloads").get("downloads", [])
    return [
        CompletionItem(row["id"], help=visible(row["name"]))
        for row in rows
        if row["id"].startswith(incomplete) and row["state"] in {"queued", "waiting", "running"}
    ]


def _names(ctx: click.Context, incomplete: str, **query: Any) -> list[str]:
    # The index does not tell capitals apart, a shell does.
    query |= {"q": incomplete, "prefix": "true"} if incomplete else {}
    return [row["name"] for row in _ask(ctx, "/api/v1/files", limit=MOST, **query).get("files", [])]


def _items(values: Iterable[str], incomplete: str) -> list[CompletionItem]:
    found = dict.fromkeys(
        value for value in values if value and value.startswith(incomplete) and visible(value) == value
    )
    if os.environ.get("_MINGA_COMPLETE", "").startswith("bash"):
        # The others quote what they insert; of bash's, click's script takes one of each two backslashes.
        return [CompletionItem(re.sub(r"([^\w@%+=:,./-])", r"\\\\\1", value)) for value in found]
    return [CompletionItem(value) for value in found]


def _ask(ctx: click.Context, path: str, **query: Any) -> dict[str, Any]:
    root = ctx.find_root()
    try:
        target = chosen(root.params.get("node"), root.params.get("token") or "")
        client = Client(target.node, token=target.token, patience=1)
        answer: dict[str, Any] = client.get(path, **query)
    except ClientError:
        # A shell that completes is no place for errors.
        return {}
    return answer


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]), required=False)
def completion(shell: str | None) -> None:
    """Prints the completion script of a shell.

    \b
    Examples:
      source <(minga completion bash)
      minga completion fish > ~/.config/fish/completions/minga.fish
    """
    shell = shell or os.environ.get("SHELL", "bash").rsplit("/", 1)[-1]
    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"there is no completion for {shell}: bash, zsh or fish")
    root = click.get_current_context().find_root().command
    click.echo(kind(root, {}, "minga", "_MINGA_COMPLETE").source())


COMMANDS = (completion,)
