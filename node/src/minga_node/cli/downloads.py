"""``minga downloads``: what the node fetches, and why something is slow."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import click

from minga_node.cli import completion
from minga_node.cli.client import Client
from minga_node.cli.ids import only
from minga_node.cli.output import Output, size
from minga_node.cli.tables import Column, Table
from minga_node.cli.watching import show, watch_option

SHOWN = 8
"""Digits of an id in the table."""
COLUMNS = (
    Column("ID"),
    Column("NAME", least=16),
    Column("STATE"),
    Column("DONE", right=True),
    Column("SIZE", right=True, leaves=1),
    Column("RATE", right=True),
    Column("FROM", leaves=2),
    Column("WHY", note=True),
)


@click.command()
@click.option(
    "--cancel",
    metavar="ID",
    shell_complete=completion.downloads,
    help="Cancel this download (the first digits will do).",
)
@watch_option
@click.pass_obj
def downloads(obj: tuple[Client, Output], cancel: str | None, watch: bool) -> None:
    """What the node fetches, and why something is slow.

    WHY says what a download waits for: somebody who has the file and is online, a holder that is not busy,
    the disk, a limit.

    \b
    Examples:
      minga downloads
      minga downloads --watch
      minga downloads --cancel 8c766a0e
    """
    client, output = obj
    if cancel is not None:
        _cancel(client, output, cancel)
    elif output.for_programs:
        output.data(client.get("/api/v1/downloads")["downloads"])
    else:
        show(output, lambda: _table(client, output), watch)


def _cancel(client: Client, output: Output, digits: str) -> None:
    rows = client.get("/api/v1/downloads")["downloads"]
    identity = only((row["id"] for row in rows), digits, "downloads")
    path = f"/api/v1/downloads/{quote(identity, safe='')}"
    client.delete(path)
    if output.for_programs:
        output.data(client.get(path))
    output.say(f"{identity[:SHOWN]} cancelled")


def _table(client: Client, output: Output) -> Table:
    rows: list[dict[str, Any]] = client.get("/api/v1/downloads")["downloads"]
    return output.make_table(
        COLUMNS,
        [
            [
                row["id"][:SHOWN],
                row["name"],
                row["state"],
                f"{100 * row['verified'] // row['size']} %" if row["size"] > 0 else "",
                size(row["size"]) if row["size"] >= 0 else "?",
                f"{size(row['rate'])}/s" if row["rate"] else "",
                str(row["holders"] or ""),
                row["error"] or ("" if row["why"] == row["state"] else row["why"]),
            ]
            for row in rows
        ],
    )


COMMANDS = (downloads,)
