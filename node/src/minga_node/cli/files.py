"""Commands about files: ``ls``, ``search``, ``info``, ``put``, ``rm``."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

import click
from rich.progress import Progress, TaskID

from minga_node.cli import completion
from minga_node.cli.client import Client, ClientError
from minga_node.cli.output import Output, size, when


@click.command()
@click.argument("query", default="")
@click.option("--local", is_flag=True, help="Only what the node itself has.")
@click.option("--limit", type=click.IntRange(1), help="Rows at most; without it all.")
@click.pass_obj
def ls(obj: tuple[Client, Output], query: str, local: bool, limit: int | None) -> None:
    """Files of the network, with size, id and holders."""
    show(obj, find(obj[0], query, local, limit))


@click.command()
@click.argument("query")
@click.option("--local", is_flag=True, help="Only what the node itself has.")
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True, help="Rows at most.")
@click.pass_obj
def search(obj: tuple[Client, Output], query: str, local: bool, limit: int) -> None:
    """Files by part of their name, or by a glob.

    \b
    Examples:
      minga search llama
      minga search 'models/*.gguf'
    """
    found = find(obj[0], query, local, limit)
    show(obj, found)
    if not found:
        obj[1].hint(f"nothing has {query!r} in its name")


def find(client: Client, query: str, local: bool, limit: int | None) -> list[dict[str, Any]]:
    """Rows of ``/api/v1/files``, page by page."""
    rows: list[dict[str, Any]] = []
    cursor = None
    while limit is None or len(rows) < limit:
        page = client.get(
            "/api/v1/files",
            q=query or None,
            scope="local" if local else None,
            cursor=cursor,
            limit=min(1000, limit - len(rows)) if limit else 1000,
        )
        rows += page["files"]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    return rows


def show(obj: tuple[Client, Output], rows: list[dict[str, Any]]) -> None:
    _, output = obj
    if output.as_json:
        output.data(rows)
    elif rows:
        output.table(
            ["NAME", "SIZE", "MODIFIED", "ID", "HOLDERS"],
            [
                [row["name"], size(row["size"]), when(row["modified"]), row["id"][:12], holders(row)]
                for row in rows
            ],
            right=["SIZE"],
        )


def holders(row: dict[str, Any]) -> str:
    """Who has it, in one cell."""
    online = [h["peer"] for h in row["holders"] if h["online"] and h["complete"]]
    partial = sum(h["online"] and not h["complete"] for h in row["holders"])
    shown = ", ".join(online[:4]) + (f" and {len(online) - 4} more" if len(online) > 4 else "")
    if partial:
        shown += f"{' ' if shown else ''}(+{partial} partial)"
    return shown or "nobody online"


@click.command()
@click.argument("name", shell_complete=completion.names)
@click.pass_obj
def info(obj: tuple[Client, Output], name: str) -> None:
    """All contents that have a name, and who has them."""
    client, output = obj
    rows = [row for row in find(client, name, False, 1000) if row["name"] == name]
    if not rows:
        raise ClientError(f"nobody shares {name}", 3)
    if output.as_json:
        output.data(rows)
        return
    for row in rows:
        click.echo(f"name      {row['name']}")
        click.echo(f"id        {row['id']}")
        click.echo(f"size      {row['size']} bytes ({size(row['size'])})")
        click.echo(f"type      {row['media_type']}")
        click.echo(f"modified  {when(row['modified'])}")
        for holder in row["holders"]:
            share = "complete" if holder["complete"] else "partial"
            click.echo(f"holder    {holder['peer']} ({share}, {'online' if holder['online'] else 'offline'})")


@click.command()
@click.argument(
    "paths", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=True, allow_dash=True)
)
@click.option("--as", "name", metavar="NAME", help="Name in the network; by default the file's own.")
@click.option("--recursive", "-r", is_flag=True, help="Put folders with all that is in them.")
@click.pass_obj
def put(obj: tuple[Client, Output], paths: tuple[str, ...], name: str | None, recursive: bool) -> None:
    """Puts files into the node's library, so that everybody finds them.

    \b
    Examples:
      minga put report.pdf
      minga put -r models/
      tar c data | minga put - --as data.tar
    """
    client, output = obj
    if name is not None and len(paths) > 1:
        raise click.UsageError("--as goes with one file")
    results = []
    with output.progress() as progress:
        for path, target in _plan(paths, name, recursive):
            length = path.stat().st_size if path else None
            task = progress.add_task(target, total=length, note="")
            source: IO[bytes] = path.open("rb") if path else sys.stdin.buffer
            with source:
                row = client.put_file(target, _Counted(source, progress, task), length)
            results.append(row)
            output.say(f"{row['name']}  {row['id']}")
    if output.as_json:
        output.data(results)


class _Counted(io.RawIOBase):
    """A stream that moves a progress bar as it is read."""

    def __init__(self, source: IO[bytes], progress: Progress, task: TaskID) -> None:
        self._source, self._progress, self._task = source, progress, task

    def read(self, size: int = -1, /) -> bytes:
        chunk = self._source.read(size)
        self._progress.advance(self._task, len(chunk))
        return chunk


def _plan(paths: tuple[str, ...], name: str | None, recursive: bool) -> list[tuple[Path | None, str]]:
    """What to send under which name; ``None`` stands for standard input."""
    plan: list[tuple[Path | None, str]] = []
    for given in paths:
        path = Path(given)
        if given == "-":
            if name is None:
                raise click.UsageError("standard input needs a name: --as NAME")
            plan.append((None, name))
        elif path.is_dir():
            if not recursive:
                raise click.UsageError(f"{given} is a folder: put it with -r")
            root = path.resolve().name
            plan += [
                (item, f"{name or root}/{item.relative_to(path).as_posix()}")
                for item in sorted(path.rglob("*"))
                if item.is_file() and not any(part.startswith(".") for part in item.relative_to(path).parts)
            ]
        else:
            plan.append((path, name or path.name))
    return plan


@click.command()
@click.argument("names", nargs=-1, required=True, shell_complete=completion.names)
@click.pass_obj
def rm(obj: tuple[Client, Output], names: tuple[str, ...]) -> None:
    """Removes files from the node's library; other holders keep theirs."""
    client, output = obj
    for name in names:
        client.delete(f"/files/{quote(name)}")
        output.say(f"{name} removed")


COMMANDS = (ls, search, info, put, rm)
