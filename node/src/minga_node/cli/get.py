"""``minga get``: fetches files from all their holders at once."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import click

from minga_node.cli import completion, ids
from minga_node.cli.amounts import Amount
from minga_node.cli.choosing import Wanted, plan
from minga_node.cli.client import Client, ClientError
from minga_node.cli.fetching import Fetching, Overall
from minga_node.cli.output import Output, echo
from minga_node.cli.overwriting import check_targets
from minga_node.cli.saving import Saver, parse_checksum
from minga_node.manifest import SMALLEST_PIECE_BYTES

AT_ONCE = 4
"""Bigger files that one `get` asks the node for at a time."""
FEW = 2
"""From this number on small files go in a batch."""
LARGEST_BATCH = 20_000


@click.command()
@click.argument("names", nargs=-1, shell_complete=completion.names)
@click.option("--recursive", "-r", is_flag=True, help="Fetch everything below the names, which are folders.")
@click.option(
    "--id", "identity", metavar="ID", help="The content to fetch, by its id; the first digits will do."
)
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
@click.option(
    "--timeout",
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    default=60.0,
    show_default=True,
    help="How long to wait while nobody who has a file is online.",
)
@click.option("--force", is_flag=True, help="Overwrite other files without asking.")
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
    timeout: float,
    force: bool,
) -> None:
    """Fetches files from all their holders at once, verified.

    The node keeps a copy, so it is a holder afterwards. Interrupted, it goes on where it was the next time.
    A local file that is another one is overwritten if you say so, or with --force.

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
    if identity is not None:
        identity = ids.whole(client, identity)
    wanted = list(plan(client, names, identity, peer, recursive, out.hint))
    digest = parse_checksum(checksum) if checksum else None
    if len(wanted) > 1 and (identity or digest or output == "-"):
        raise click.UsageError("--id, --checksum and -o - go with one file")
    if digest is not None:
        digest = _unless_known(client, wanted[0], digest)
    saver = Saver(client, output, len(wanted) > 1 or recursive, limit, may_replace=force)
    if not force:
        check_targets(client, saver, wanted)
    small = [item for item in wanted if 0 <= item.size <= SMALLEST_PIECE_BYTES]
    if len(small) < FEW:
        small = []
    with out.progress() as progress, _interruptible(client) as running:
        fetching = Fetching(client, out, progress, saver, running, limit, timeout, Overall(progress, wanted))
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
    if out.for_programs and output != "-":
        out.data(fetched)


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


@contextmanager
def _interruptible(client: Client) -> Iterator[set[str]]:
    """On Ctrl-C says how the downloads that run go on."""
    running: set[str] = set()
    try:
        yield running
    except KeyboardInterrupt:
        left = len(running)
        echo(
            f"\ninterrupted; the node at {client.node} goes on with "
            f"{left} download{'' if left == 1 else 's'}, and the same command takes them up again "
            "(`minga downloads` shows them)",
            err=True,
        )
        # Threads that follow a download would wait for its end.
        sys.stderr.flush()
        os._exit(130)


COMMANDS = (get,)
