"""``minga get``: fetches files from all their holders at once."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import click
from rich.progress import Progress

from minga_node import tar
from minga_node.cli import completion
from minga_node.cli.amounts import Amount
from minga_node.cli.choosing import Wanted, plan
from minga_node.cli.client import Client, ClientError
from minga_node.cli.output import Output, size
from minga_node.cli.saving import Saver, parse_checksum
from minga_node.errors import BadRequest
from minga_node.manifest import SMALLEST_PIECE, Manifest

AT_ONCE = 4
"""Bigger files that one `get` asks the node for at a time."""
FEW = 2
"""From this number on small files go in a batch."""
LARGEST_BATCH = 20_000
LOOK_SECONDS = 0.5


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
    "--limit-rate",
    "limit",
    type=Amount(),
    metavar="BYTES",
    default=0,
    help="Bytes a second at most, such as 500k or 2.5M; files then come one after the other.",
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
    limit: int,
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
      minga get image.iso --limit-rate 2M
    """
    client, out = obj
    if not names and identity is None:
        raise click.UsageError("name a file, or a content with --id")
    wanted = list(plan(client, names, identity, peer, recursive))
    digest = parse_checksum(checksum) if checksum else None
    if len(wanted) > 1 and (identity or digest or output == "-"):
        raise click.UsageError("--id, --checksum and -o - go with one file")
    if digest is not None:
        digest = _unless_known(client, wanted[0], digest)
    saver = Saver(client, output, len(wanted) > 1 or recursive, limit)
    small = [item for item in wanted if 0 <= item.size <= SMALLEST_PIECE]
    if len(small) < FEW:
        small = []
    with out.progress() as progress, _interruptible(client) as running:
        fetching = Fetching(client, out, progress, saver, running, limit, Overall(progress, wanted))
        fetched = []
        for start in range(0, len(small), LARGEST_BATCH):
            fetched += fetching.batch(small[start : start + LARGEST_BATCH])
        in_batch = set(small)
        rest = [item for item in wanted if item not in in_batch]
        # Not as a context: its end would wait for downloads that the user has just interrupted.
        pool = ThreadPoolExecutor(1 if limit else AT_ONCE)
        try:
            fetched += pool.map(lambda item: fetching.one(item, digest), rest)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
    if out.as_json and output != "-":
        out.data(fetched)


class Overall:
    """One bar for all files together, where there are several."""

    def __init__(self, progress: Progress, wanted: Sequence[Wanted]) -> None:
        self._progress = progress
        self._lock = threading.Lock()
        self._moved: dict[str, int] = {}
        known = all(item.size >= 0 for item in wanted)
        total = sum(item.size for item in wanted) if known else None
        self.shown = len(wanted) > 1
        self._task = (
            progress.add_task(f"all {len(wanted)} files", total=total, note="") if self.shown else None
        )

    def add(self, count: int) -> None:
        """So many bytes more."""
        if self._task is not None:
            self._progress.advance(self._task, count)

    def moved(self, identity: str, verified: int) -> None:
        """One download has so many bytes now."""
        with self._lock:
            before, self._moved[identity] = self._moved.get(identity, 0), verified
        self.add(verified - before)


class Fetching:
    """Has the node fetch files, shows how far that is, and saves them. Results are ready for ``--json``."""

    def __init__(
        self,
        client: Client,
        out: Output,
        progress: Progress,
        saver: Saver,
        running: set[str],
        limit: int,
        overall: Overall,
    ) -> None:
        self._client, self._out, self._progress, self._saver = client, out, progress, saver
        self._running, self._limit, self._overall = running, limit, overall

    def one(self, wanted: Wanted, digest: tuple[str, str] | None) -> dict[str, Any]:
        """One file, whatever its size."""
        if wanted.id is not None and wanted.size >= 0 and wanted.name is not None:
            target = self._saver.target(wanted.name, wanted.below)
            if self._saver.is_there(target, wanted.id, wanted.size):
                return self._result(wanted.name, wanted.id, wanted.size, str(target), "there already")
        download = self._follow(wanted)
        name, identity, count = download["name"], download["content_id"], download["size"]
        target = self._saver.target(name, wanted.below)
        came = sum(download["sources"].values())
        where = self._saver.copy(name, identity, count, target, digest, paced=came < count)
        return self._result(name, identity, count, where, "verified")

    def _result(self, name: str, identity: str, count: int, where: str, about: str) -> dict[str, Any]:
        if about == "there already":
            self._overall.add(count)
        if where != "-":
            self._out.say(f"{where}  {size(count)}, {about}")
        return {"name": name, "content_id": identity, "size": count, "path": where}

    def _follow(self, wanted: Wanted) -> dict[str, Any]:
        asked = {**wanted.asked(), "limit": self._limit}
        download: dict[str, Any] = self._client.post("/api/v1/downloads", asked)
        task = self._progress.add_task(download["name"], total=None, note="")
        identity = download["id"]
        self._running.add(identity)
        for state in self._client.events(f"/api/v1/downloads/{identity}/events"):
            download = state
            total = download["size"] if download["size"] >= 0 else None
            self._progress.update(task, total=total, completed=download["verified"], note=note(download))
            self._overall.moved(identity, download["verified"])
        self._running.discard(identity)
        if self._overall.shown:
            # Finished ones would push the others off the screen.
            self._progress.update(task, visible=False)
        if download["state"] != "complete":
            raise _failure(download)
        return download

    def batch(self, files: Sequence[Wanted]) -> list[dict[str, Any]]:
        """Many small files in one request, each verified and saved as it comes."""
        left = {str(item.name): item for item in files}
        fetched = []
        for item in files:
            target = self._saver.target(str(item.name), item.below)
            if self._saver.is_there(target, str(item.id), item.size):
                del left[str(item.name)]
                fetched.append(
                    self._result(str(item.name), str(item.id), item.size, str(target), "there already")
                )
        if not left:
            return fetched
        asked = [{"name": name, "id": item.id, "size": item.size} for name, item in left.items()]
        identity = self._client.post("/api/v1/downloads", {"files": asked, "limit": self._limit})["id"]
        self._running.add(identity)
        task = self._progress.add_task(
            f"{len(left)} small files", total=sum(i.size for i in left.values()), note=""
        )
        looked = time.monotonic()
        try:
            with self._client.open(f"/api/v1/downloads/{identity}/archive") as response:
                for member in tar.members(response):
                    fetched.append(self._save(member, left))
                    self._progress.advance(task, member.size)
                    self._overall.add(member.size)
                    if time.monotonic() - looked > LOOK_SECONDS:
                        looked = time.monotonic()
                        self._progress.update(
                            task, note=note(self._client.get(f"/api/v1/downloads/{identity}"))
                        )
        except (BadRequest, ClientError):
            # The stream broke off: the download says why, unless it is the connection that broke.
            download = self._client.get(f"/api/v1/downloads/{identity}")
            if download["state"] in {"failed", "cancelled"}:
                raise _failure(download) from None
            raise ClientError(
                f"the connection to {self._client.node} broke; the same command goes on"
            ) from None
        finally:
            self._running.discard(identity)
        if left:
            raise ClientError(
                f"{self._client.node} did not send {next(iter(left))} ({len(left)} files are missing)"
            )
        return fetched

    def _save(self, member: tar.Member, left: dict[str, Wanted]) -> dict[str, Any]:
        item = left.pop(member.name, None)
        if item is None:
            raise ClientError(f"{self._client.node} sends {member.name}, which was not asked for")
        body = member.read(member.size)
        target = self._saver.target(member.name, item.below)
        assert target is not None
        if len(body) > SMALLEST_PIECE or Manifest.of_one_piece(body).id != item.id:
            raise ClientError(f"{target}: what came from the node is not what its id says")
        self._saver.write(target, body)
        return self._result(member.name, str(item.id), len(body), str(target), "verified")


def _unless_known(client: Client, wanted: Wanted, digest: tuple[str, str]) -> tuple[str, str] | None:
    """What is left to check of a file that the node knows the SHA-256 of.

    Raises:
        ClientError: it is another one, so nothing need be fetched.
    """
    algorithm, expected = digest
    if algorithm != "sha256" or wanted.name is None:
        return digest
    rows = [
        row
        for row in client.get("/api/v1/files", name=wanted.name)["files"]
        if wanted.id in {None, row["id"]}
        and (wanted.peer is None or any(holder["peer"] == wanted.peer for holder in row["holders"]))
    ]
    if len(rows) != 1 or rows[0]["sha256"] is None:
        return digest
    if rows[0]["sha256"] != expected:
        raise ClientError(f"{wanted.name}: its sha256 is {rows[0]['sha256']}, not {expected}")
    return None


def note(download: dict[str, Any]) -> str:
    """What stands behind a progress bar: from how many peers it comes, and what holds it up."""
    peers = download["holders"]
    said = f"from {peers} peer{'' if peers == 1 else 's'}" if peers else ""
    if download["why"] not in {"running", "complete", "queued"}:
        said += f"{', ' if said else ''}{download['why']}"
    return said


def _failure(download: dict[str, Any]) -> ClientError:
    code = 5 if download["error_type"] == "no-holders" else 1
    reason = download["error"] or download["why"] or f"the download is {download['state']}"
    return ClientError(f"{download['name']}: {reason}", code)


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


COMMANDS = (get,)
