"""Commands that fetch: ``get`` and ``downloads``."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

import click
from rich.progress import Progress

from minga_node.cli import completion
from minga_node.cli.client import Client, ClientError
from minga_node.cli.files import find
from minga_node.cli.output import Output, size
from minga_node.manifest import hash_file

BLOCK = 1024 * 1024
AT_ONCE = 4
"""Files that one `get` asks the node for at a time."""
ALGORITHMS = ("sha256", "sha512", "sha1", "md5", "blake2b")


@dataclass(frozen=True)
class Wanted:
    """One file to fetch, and where it goes below the folder that was named."""

    name: str | None
    id: str | None
    peer: str | None
    below: str | None = None

    def asked(self) -> dict[str, str]:
        """The body of ``POST /api/v1/downloads``."""
        fields = {"name": self.name, "id": self.id, "peer": self.peer}
        return {key: value for key, value in fields.items() if value is not None}


@click.command()
@click.argument("names", nargs=-1, shell_complete=completion.names)
@click.option("--recursive", "-r", is_flag=True, help="Fetch everything below the names, which are folders.")
@click.option("--id", "identity", metavar="ID", help="The content to fetch, where several have the name.")
@click.option(
    "--from",
    "peer",
    metavar="PEER",
    shell_complete=completion.peers,
    help="Fetch what this peer has so named.",
)
@click.option(
    "--checksum", metavar="ALGORITHM:HEX", help="Refuse a file whose digest, as of sha256, differs."
)
@click.option(
    "--output",
    "-o",
    default=".",
    metavar="PATH",
    help="A file, or a folder (which ends in / or exists); - is standard output.",
)
@click.pass_obj
def get(
    obj: tuple[Client, Output],
    names: tuple[str, ...],
    recursive: bool,
    identity: str | None,
    peer: str | None,
    checksum: str | None,
    output: str,
) -> None:
    """Fetches files from all their holders at once, verified.

    The node keeps a copy, so it is a holder afterwards. Interrupted, it goes on where it was the next time.

    \b
    Examples:
      minga get big.bin -o downloads/
      minga get -r models/ -o models/
      minga get 'datasets/*.csv'
      minga get --id 6fbc… -o model.gguf
      minga get notes.txt -o - | less
      minga get image.iso --checksum sha256:9f86d081…
    """
    client, out = obj
    if not names and identity is None:
        raise click.UsageError("name a file, or a content with --id")
    wanted = list(_plan(client, names, identity, peer, recursive))
    digest = _parse_checksum(checksum) if checksum else None
    if len(wanted) > 1 and (identity or digest or output == "-"):
        raise click.UsageError("--id, --checksum and -o - go with one file")
    several = len(wanted) > 1 or recursive
    with out.progress() as progress, _interruptible(client) as running:

        def one(item: Wanted) -> dict[str, Any]:
            download = _fetch(client, progress, item, running)
            where = _save(client, download, _target(download, item, output, several), digest)
            if output != "-":
                out.say(f"{where}  {size(download['size'])}, verified")
            return {**download, "path": where}

        # Not as a context: its end would wait for downloads that the user has just interrupted.
        pool = ThreadPoolExecutor(AT_ONCE)
        try:
            fetched = list(pool.map(one, wanted))
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
    if out.as_json and output != "-":
        out.data(fetched)


def _plan(
    client: Client, names: tuple[str, ...], identity: str | None, peer: str | None, recursive: bool
) -> Iterator[Wanted]:
    """What to fetch: names as they are, globs and folders as what the index has for them."""
    for name in names or (None,):
        if name is not None and recursive:
            prefix = name.rstrip("/") + "/"
            rows = [row for row in find(client, prefix, False, None) if row["name"].startswith(prefix)]
            if not rows:
                raise ClientError(f"nobody shares anything below {prefix}", 3)
            yield from (
                Wanted(n, None, peer, n.removeprefix(prefix)) for n in sorted({r["name"] for r in rows})
            )
        elif name is not None and any(character in name for character in "*?["):
            found = sorted({row["name"] for row in find(client, name, False, None)})
            if not found:
                raise ClientError(f"nothing is called {name}", 3)
            yield from (Wanted(n, None, peer) for n in found)
        else:
            yield Wanted(name, identity, peer)


@contextmanager
def _interruptible(client: Client) -> Iterator[set[str]]:
    """On Ctrl-C says how the downloads that run go on."""
    running: set[str] = set()
    try:
        yield running
    except KeyboardInterrupt:
        left = len(running)
        click.echo(
            f"\ninterrupted; the node at {client.node} goes on with "
            f"{left} download{'' if left == 1 else 's'}, and the same command takes them up again "
            "(`minga downloads` shows them)",
            err=True,
        )
        # Threads that follow a download would wait for its end.
        sys.stderr.flush()
        os._exit(130)


def _fetch(client: Client, progress: Progress, wanted: Wanted, running: set[str]) -> dict[str, Any]:
    """Has the node fetch it, and follows that to its end."""
    download: dict[str, Any] = client.post("/api/v1/downloads", wanted.asked())
    task = progress.add_task(download["name"], total=None, note="")
    identity = download["id"]
    running.add(identity)
    for state in client.events(f"/api/v1/downloads/{identity}/events"):
        download = state
        note = f"from {download['holders']}" if download["holders"] else download["why"]
        total = download["size"] if download["size"] >= 0 else None
        progress.update(task, total=total, completed=download["verified"], note=note)
    running.discard(identity)
    if download["state"] != "complete":
        code = 5 if download["error_type"] == "no-holders" else 1
        reason = download["error"] or download["why"] or f"the download is {download['state']}"
        raise ClientError(f"{download['name']}: {reason}", code)
    return download


def _target(download: dict[str, Any], wanted: Wanted, output: str, several: bool) -> Path | None:
    """Where it goes; ``None`` for standard output."""
    if output == "-":
        return None
    target = Path(output)
    if several or output.endswith("/") or target.is_dir():
        target /= wanted.below or download["name"].rsplit("/", 1)[-1]
    return target


def _save(
    client: Client, download: dict[str, Any], target: Path | None, digest: tuple[str, str] | None
) -> str:
    """Copies the fetched content from the node to where the user wants it, and checks its id there."""
    path = f"/files/{quote(download['name'])}"
    with ExitStack() as stack:
        response = stack.enter_context(client.open(path, id=download["content_id"]))
        if target is None:
            _copy(response, sys.stdout.buffer)
            return "-"
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f".{target.name}.{os.getpid()}.part")
        stack.callback(partial.unlink, missing_ok=True)
        with partial.open("wb") as out:
            _copy(response, out)
        if hash_file(partial).id != download["content_id"]:
            raise ClientError(f"{target}: what came from the node is not what its id says")
        if digest is not None:
            _check(partial, target, *digest)
        partial.replace(target)
        return str(target)


def _copy(response: Any, out: IO[bytes]) -> None:
    for chunk in response.stream(BLOCK):
        out.write(chunk)


def _parse_checksum(text: str) -> tuple[str, str]:
    algorithm, _, expected = text.partition(":")
    if algorithm not in ALGORITHMS or not expected:
        raise click.UsageError(
            f"--checksum is {text!r}: expected one of {', '.join(ALGORITHMS)}, a colon and hex"
        )
    return algorithm, expected.lower()


def _check(partial: Path, target: Path, algorithm: str, expected: str) -> None:
    with partial.open("rb") as stream:
        found = hashlib.file_digest(stream, algorithm).hexdigest()
    if found != expected:
        raise ClientError(f"{target}: its {algorithm} is {found}, not {expected}")


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
