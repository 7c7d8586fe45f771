"""Shell completion: of commands by click, of file names and peers from the index."""

from __future__ import annotations

import os
from typing import Any

import click
from click.shell_completion import CompletionItem, get_completion_class

from minga_node.cli.client import Client, ClientError
from minga_node.cli.target import chosen

MOST = 50


def names(ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Files of the network that begin with what was typed."""
    rows = _ask(ctx, "/api/v1/files", "files", q=incomplete or None, limit=MOST)
    return [CompletionItem(row["name"]) for row in rows if row["name"].startswith(incomplete)]


def peers(ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Peers that begin with what was typed."""
    found = _ask(ctx, "/api/v1/peers", "peers")
    return [CompletionItem(peer["id"]) for peer in found if peer["id"].startswith(incomplete)]


def _ask(ctx: click.Context, path: str, key: str, **query: Any) -> list[dict[str, Any]]:
    root = ctx.find_root()
    try:
        target = chosen(root.params.get("node"), root.params.get("token") or "")
        client = Client(target.node, token=target.token, patience=1)
        answer: list[dict[str, Any]] = client.get(path, **query)[key]
    except ClientError:
        # A shell that completes is no place for errors.
        return []
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
