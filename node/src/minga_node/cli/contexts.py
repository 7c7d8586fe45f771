"""Named nodes: ``minga context`` and the file behind it."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path

import click

from minga_node.cli.client import Client, ClientError
from minga_node.cli.credentials import token_from
from minga_node.cli.groups import Words
from minga_node.cli.output import Output
from minga_node.cli.tables import Column


@dataclass
class Contexts:
    """Addresses by name, and which one is used."""

    current: str | None = None
    nodes: dict[str, str] = field(default_factory=dict)
    tokens: dict[str, str] = field(default_factory=dict, repr=False)

    @property
    def node(self) -> str | None:
        """The address in use."""
        return self.nodes.get(self.current) if self.current else None

    @property
    def token(self) -> str:
        """The token kept for it; empty where there is none."""
        return self.tokens.get(self.current, "") if self.current else ""


def path() -> Path:
    """The file: in the user's configuration folder (XDG Base Directory Specification)."""
    base = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(base) / "minga" / "contexts.json"


def load() -> Contexts:
    """What was saved; nothing where there is no file.

    Raises:
        ClientError: the file cannot be read, or is not one of ours.
    """
    try:
        data = json.loads(path().read_text(encoding="utf-8"))
        return Contexts(data.get("current"), dict(data["nodes"]), dict(data.get("tokens", {})))
    except FileNotFoundError:
        return Contexts()
    except OSError as error:
        raise ClientError(f"{path()} cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ClientError(f"{path()} is not a file of contexts; remove it and add them again") from None


def save(contexts: Contexts) -> None:
    where = path()
    where.parent.mkdir(parents=True, exist_ok=True)
    fresh = where.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    # Never readable for others, not even for a moment: there may be tokens in it.
    with os.fdopen(
        os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8"
    ) as file:
        json.dump(asdict(contexts), file, indent=2)
    fresh.replace(where)


def completed(_ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    try:
        return [name for name in load().nodes if name.startswith(incomplete)]
    except ClientError:
        # A shell that completes is no place for errors.
        return []


@click.group(cls=Words)
def context() -> None:
    """Names for nodes, and the one that is used without --node.

    \b
    Examples:
      minga context add lab http://10.0.0.7:5000
      minga context add build http://10.0.0.8:5000 --token-file build.token
      minga context use lab
    """


@context.command()
@click.argument("name")
@click.argument("url")
@click.option(
    "--token-file",
    type=click.Path(path_type=Path, allow_dash=True),
    help="Keep the token of this file (- is standard input) for the node, readable for you alone.",
)
@click.pass_obj
def add(obj: tuple[Client, Output], name: str, url: str, token_file: Path | None) -> None:
    """Names a node; the first one is used at once."""
    contexts = load()
    contexts.nodes[name] = Client(url).node
    contexts.tokens.pop(name, None)
    if token_file is not None:
        contexts.tokens[name] = token_from(token_file)
    contexts.current = contexts.current or name
    save(contexts)
    obj[1].say(f"{name} is {contexts.nodes[name]}")


@context.command()
@click.argument("name", shell_complete=completed)
@click.pass_obj
def use(obj: tuple[Client, Output], name: str) -> None:
    """Talks to this node from now on."""
    contexts = load()
    check_known(contexts, name)
    contexts.current = name
    save(contexts)
    obj[1].say(f"{name} is used from now on")


@context.command()
@click.argument("name", shell_complete=completed)
@click.pass_obj
def rm(obj: tuple[Client, Output], name: str) -> None:
    """Forgets a name."""
    contexts = load()
    check_known(contexts, name)
    del contexts.nodes[name]
    contexts.tokens.pop(name, None)
    if contexts.current == name:
        contexts.current = None
    save(contexts)
    obj[1].say(f"{name} is forgotten")


@context.command()
@click.pass_obj
def ls(obj: tuple[Client, Output]) -> None:
    """All names; a star is at the one in use."""
    contexts = load()
    if obj[1].for_programs:
        tokens = sorted(contexts.tokens)
        obj[1].data({"current": contexts.current, "nodes": contexts.nodes, "with_token": tokens})
        return
    obj[1].table(
        [Column(""), Column("NAME", least=8), Column("NODE"), Column("TOKEN", leaves=1)],
        [
            ["*" if name == contexts.current else "", name, url, "kept" if name in contexts.tokens else ""]
            for name, url in contexts.nodes.items()
        ],
    )


def check_known(contexts: Contexts, name: str) -> None:
    """Raises ClientError where there is no such name."""
    if name not in contexts.nodes:
        known = ", ".join(contexts.nodes) or "none"
        raise ClientError(f"there is no context {name} (there is: {known})", 3)


COMMANDS = (context,)
