"""``minga downloads``: what the node fetches, and why something is slow."""

from __future__ import annotations

from urllib.parse import quote

import click

from minga_node.cli.client import Client
from minga_node.cli.output import Output, size


@click.command()
@click.option("--cancel", metavar="ID", help="Cancel this download.")
@click.pass_obj
def downloads(obj: tuple[Client, Output], cancel: str | None) -> None:
    """What the node fetches or has fetched, and why something is slow."""
    client, output = obj
    if cancel is not None:
        client.delete(f"/api/v1/downloads/{quote(cancel, safe='')}")
        output.say(f"{cancel} cancelled")
        return
    rows = client.get("/api/v1/downloads")["downloads"]
    if output.as_json:
        output.data(rows)
        return
    output.table(
        ["ID", "NAME", "STATE", "DONE", "SIZE", "RATE", "FROM", "WHY"],
        [
            [
                row["id"],
                row["name"],
                row["state"],
                f"{100 * row['verified'] // row['size']} %" if row["size"] > 0 else "",
                size(row["size"]) if row["size"] >= 0 else "?",
                f"{size(row['rate'])}/s" if row["rate"] else "",
                str(row["holders"] or ""),
                row["error"] or row["why"],
            ]
            for row in rows
        ],
        right=["DONE", "SIZE", "RATE"],
    )


COMMANDS = (downloads,)
