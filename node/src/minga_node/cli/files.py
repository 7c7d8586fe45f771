"""Commands about files: ``ls``, ``search``, ``info``, ``rm``."""

from __future__ import annotations

from typing import Any

import click

from minga_node.cli import completion
from minga_node.cli.client import Client, ClientError
from minga_node.cli.filters import asked, filters
from minga_node.cli.ids import looks_like_id, rows_of
from minga_node.cli.output import Output, echo, size, when
from minga_node.cli.tables import Column

COLUMNS = (
    Column("NAME", least=20),
    Column("SIZE", right=True),
    Column("MODIFIED", leaves=2),
    Column("ID", leaves=1),
    Column("HOLDERS", names=True),
)


@click.command()
@click.argument("query", default="")
@filters
@click.option("--limit", type=click.IntRange(1), help="Rows at most; without it all.")
@click.pass_obj
def ls(obj: tuple[Client, Output], /, query: str, limit: int | None, **chosen: Any) -> None:
    """Files of the network, with size, id and holders.

    \b
    Examples:
      minga ls
      minga ls --local
      minga ls --sort size --reverse --limit 10
      minga --json ls | jq '.[] | select(.available | not) | .name'
    """
    show(obj, find(obj[0], query, limit, **asked(**chosen)))


@click.command()
@click.argument("words", nargs=-1, required=True)
@filters
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True, help="Rows at most.")
@click.pass_obj
def search(obj: tuple[Client, Output], /, words: tuple[str, ...], limit: int, **chosen: Any) -> None:
    """Files by parts of their names, or by a glob.

    Neither capitals nor accents count; of several words all must be there.

    \b
    Examples:
      minga search llama
      minga search 'models/*.gguf'
      minga search weather --type text/csv --min-size 1M --sort modified --reverse
    """
    query = " ".join(words)
    found = find(obj[0], query, limit, **asked(**chosen))
    show(obj, found)
    if not found:
        obj[1].hint(f"nothing has {query!r} in its name{' and is as asked' if any(chosen.values()) else ''}")


def find(client: Client, query: str, limit: int | None = None, **parameters: Any) -> list[dict[str, Any]]:
    """Rows of ``/api/v1/files``, page by page, with further ``parameters`` of its."""
    rows: list[dict[str, Any]] = []
    cursor = None
    while limit is None or len(rows) < limit:
        page = client.get(
            "/api/v1/files",
            q=query or None,
            **parameters,
            cursor=cursor,
            limit=min(1000, limit - len(rows)) if limit else 1000,
        )
        rows += page["files"]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    return rows


def check_no_folder(client: Client, name: str, instead: str) -> None:
    """Raises ClientError where a name is the folder of what is shared: what to do ``instead``."""
    folder = name.rstrip("/") + "/"
    if any(row["name"].startswith(folder) for row in find(client, folder, 1, prefix="true")):
        raise ClientError(f"{name} is a folder: {instead}", 2)


def show(obj: tuple[Client, Output], rows: list[dict[str, Any]]) -> None:
    _, output = obj
    if output.for_programs:
        output.data(rows)
    elif rows:
        output.table(
            COLUMNS,
            [
                [row["name"], size(row["size"]), when(row["modified"]), row["id"][:12], holders(row)]
                for row in rows
            ],
        )


def holders(row: dict[str, Any]) -> str:
    """Who has it and is online: those that have all of it first."""
    online = [holder for holder in row["holders"] if holder["online"]]
    complete = [holder["peer"] for holder in online if holder["complete"]]
    partial = [f"{holder['peer']} (partial)" for holder in online if not holder["complete"]]
    return ", ".join([*complete, *partial]) or "nobody online"


@click.command()
@click.argument("name", metavar="NAME|ID", shell_complete=completion.names)
@click.pass_obj
def info(obj: tuple[Client, Output], name: str) -> None:
    """All contents of a name or of an id, and who has them.

    \b
    Examples:
      minga info models/llama.gguf
      minga info 6fbc1f0a
    """
    client, output = obj
    rows = client.get("/api/v1/files", name=name)["files"]
    if not rows and looks_like_id(name):
        rows = rows_of(client, name)
    if not rows:
        check_no_folder(client, name, f"see `minga ls {name.rstrip('/')}/`")
        raise ClientError(f"nobody shares {name}", 3)
    if output.for_programs:
        output.data(rows)
        return
    for row in rows:
        echo(f"name      {row['name']}")
        echo(f"id        {row['id']}")
        echo(f"sha256    {row['sha256'] or 'not known to this node yet'}")
        echo(f"size      {row['size']} bytes ({size(row['size'])})")
        echo(f"type      {row['media_type']}")
        echo(f"modified  {when(row['modified'])}")
        for holder in row["holders"]:
            share = "complete" if holder["complete"] else "partial"
            echo(f"holder    {holder['peer']} ({share}, {'online' if holder['online'] else 'offline'})")


COMMANDS = (ls, search, info)
