"""Commands that fetch: ``get`` and ``downloads``."""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

import click
from rich.progress import Progress

from minga_node.cli.client import Client, ClientError
from minga_node.cli.output import Output, size
from minga_node.manifest import hash_file

BLOCK = 1024 * 1024


@click.command()
@click.argument("names", nargs=-1)
@click.option("--id", "identity", metavar="ID", help="The content to fetch, where several have the name.")
@click.option("--from", "peer", metavar="PEER", help="Fetch what this peer has under the name.")
@click.option(
    "--output",
    "-o",
    default=".",
    metavar="PATH",
    help="A file, or a folder (which ends in / or exists); - is standard output.",
)
@click.pass_obj
def get(
    obj: tuple[Client, Output], names: tuple[str, ...], identity: str | None, peer: str | None, output: str
) -> None:
    """Fetches files from all their holders at once, verified.

    The node keeps a copy, so it is a holder afterwards. Interrupted, it goes on where it was the next time.

    \b
    Examples:
      minga get big.bin -o downloads/
      minga get --id 6fbc… -o model.gguf
    """
    client, out = obj
    if not names and identity is None:
        raise click.UsageError("name a file, or a content with --id")
    if identity is not None and len(names) > 1:
        raise click.UsageError("--id goes with one file")
    fetched = []
    with out.progress() as progress:
        for name in names or (None,):
            download = _fetch(client, progress, name, identity, peer)
            where = _save(client, download, output)
            fetched.append({**download, "path": where})
            if output != "-":
                out.say(f"{where}  {size(download['size'])}, verified")
    if out.as_json and output != "-":
        out.data(fetched)


def _fetch(
    client: Client, progress: Progress, name: str | None, identity: str | None, peer: str | None
) -> dict[str, Any]:
    """Has the node fetch it, and follows that to its end."""
    asked = {"name": name, "id": identity, "peer": peer}
    download: dict[str, Any] = client.post(
        "/api/v1/downloads", {key: value for key, value in asked.items() if value is not None}
    )
    task = progress.add_task(download["name"], total=None, note="")
    try:
        identity = download["id"]
        for state in client.events(f"/api/v1/downloads/{identity}/events"):
            download = state
            note = f"from {download['holders']}" if download["holders"] else download["why"]
            total = download["size"] if download["size"] >= 0 else None
            progress.update(task, total=total, completed=download["verified"], note=note)
    except KeyboardInterrupt:
        click.echo(
            "\ninterrupted here; the node goes on fetching (`minga downloads` shows it, "
            f"`minga downloads --cancel {download['id']}` ends it)",
            err=True,
        )
        raise click.exceptions.Exit(130) from None
    if download["state"] != "complete":
        code = 5 if download["error_type"] == "no-holders" else 1
        reason = download["error"] or download["why"] or f"the download is {download['state']}"
        raise ClientError(f"{download['name']}: {reason}", code)
    return download


def _save(client: Client, download: dict[str, Any], output: str) -> str:
    """Copies the fetched content from the node to where the user wants it, and checks its id there."""
    path = f"/files/{quote(download['name'])}"
    with ExitStack() as stack:
        response = stack.enter_context(client.open(path, id=download["content_id"]))
        if output == "-":
            _copy(response, sys.stdout.buffer)
            return "-"
        target = Path(output)
        if output.endswith("/") or target.is_dir():
            target /= download["name"].rsplit("/", 1)[-1]
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f".{target.name}.{os.getpid()}.part")
        stack.callback(partial.unlink, missing_ok=True)
        with partial.open("wb") as out:
            _copy(response, out)
        if hash_file(partial).id != download["content_id"]:
            raise ClientError(f"{target}: what came from the node is not what its id says")
        partial.replace(target)
        return str(target)


def _copy(response: Any, out: IO[bytes]) -> None:
    for chunk in response.stream(BLOCK):
        out.write(chunk)


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


COMMANDS = (get, downloads)
