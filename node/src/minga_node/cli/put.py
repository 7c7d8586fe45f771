"""``minga put``: shares files through the node."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import click
from rich.progress import Progress, TaskID

from minga_node import tar
from minga_node.cli.client import Client, ClientError
from minga_node.cli.output import Output, counted
from minga_node.manifest import SMALLEST_PIECE

BATCH_FILES = 500
BATCH_BYTES = 8 * 1024 * 1024
AT_ONCE = 2
"""Batches on their way: the next one is read while the node writes the one before."""


@dataclass(frozen=True)
class Source:
    """A file to send, and its name in the network; no path stands for standard input."""

    path: Path | None
    name: str
    size: int | None = None
    """Bytes, as of now."""


@click.command()
@click.argument(
    "paths", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=True, allow_dash=True)
)
@click.option("--as", "name", metavar="NAME", help="Name in the network; by default the file's own.")
@click.option("--recursive", "-r", is_flag=True, help="Put folders with all that is in them.")
@click.pass_obj
def put(obj: tuple[Client, Output], paths: tuple[str, ...], name: str | None, recursive: bool) -> None:
    """Shares files: puts them into the node's library.

    Of folders, hidden files are left out. What is there already with the same content is left as it is, so
    the same command again goes on after an interruption.

    \b
    Examples:
      minga put report.pdf
      minga put report.pdf --as 2026/march.pdf
      minga put -r models/
      tar c data | minga put - --as data.tar
    """
    client, output = obj
    if name is not None and len(paths) > 1:
        raise click.UsageError("--as goes with one file")
    sources = list(_plan(paths, name, recursive))
    small = [source for source in sources if source.size is not None and source.size <= SMALLEST_PIECE]
    if len(small) < 2:
        small = []
    in_batches = set(small)
    with output.progress() as progress:
        sending = Sending(client, output, progress)
        try:
            sending.batches(small)
            for source in sources:
                if source not in in_batches:
                    sending.one(source)
        except KeyboardInterrupt:
            raise ClientError(
                f"interrupted; {len(sending.results)} of {counted(len(sources), 'file')} "
                "are shared, and the same command goes on with the rest",
                130,
            ) from None
    if output.as_json:
        output.data(sending.results)
    if sending.refused:
        raise ClientError("\n".join(f"{name}: {reason}" for name, reason in sending.refused))


class Sending:
    """Sends files to the node and shows how far that is."""

    def __init__(self, client: Client, output: Output, progress: Progress) -> None:
        self._client, self._output, self._progress = client, output, progress
        self.results: list[dict[str, Any]] = []
        self.refused: list[tuple[str, str]] = []
        """Names that the node does not take, and why."""

    def one(self, source: Source) -> None:
        """One file in a request of its own."""
        task = self._progress.add_task(source.name, total=source.size, note="")
        stream: IO[bytes] = source.path.open("rb") if source.path else sys.stdin.buffer
        with stream:
            row = self._client.put_file(source.name, _Counted(stream, self._progress, task), source.size)
        self._tell([row])

    def batches(self, sources: Sequence[Source]) -> None:
        """Small files, hundreds in each request."""
        if not sources:
            return
        total = sum(source.size or 0 for source in sources)
        task = self._progress.add_task(f"{len(sources)} small files", total=total, note="")

        def send(batch: list[Source]) -> tuple[int, dict[str, Any]]:
            sent, body = _archive(batch)
            return sent, self._client.post_archive(body)

        with ThreadPoolExecutor(AT_ONCE) as pool:
            try:
                for sent, answer in pool.map(send, _batches(sources)):
                    self._progress.advance(task, sent)
                    self._tell(answer["files"])
                    self.refused += [(each["name"], each["reason"]) for each in answer["refused"]]
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def _tell(self, rows: Iterable[dict[str, Any]]) -> None:
        for row in rows:
            self.results.append({"name": row["name"], "id": row["id"], "size": row["size"]})
            self._output.say(f"{row['name']}  {row['id']}")


class _Counted(io.RawIOBase):
    """A stream that moves a progress bar as it is read."""

    def __init__(self, source: IO[bytes], progress: Progress, task: TaskID) -> None:
        self._source, self._progress, self._task = source, progress, task

    def read(self, size: int = -1, /) -> bytes:
        chunk = self._source.read(size)
        self._progress.advance(self._task, len(chunk))
        return chunk


def _plan(paths: Sequence[str], name: str | None, recursive: bool) -> Iterator[Source]:
    for given in paths:
        path = Path(given)
        if given == "-":
            if name is None:
                raise click.UsageError("standard input needs a name: --as NAME")
            yield Source(None, name)
        elif path.is_dir():
            if not recursive:
                raise click.UsageError(f"{given} is a folder: put it with -r")
            root = name or path.resolve().name
            for item in sorted(path.rglob("*")):
                below = item.relative_to(path)
                if item.is_file() and not any(part.startswith(".") for part in below.parts):
                    yield Source(item, f"{root}/{below.as_posix()}", item.stat().st_size)
        else:
            # A pipe has no size that says anything.
            yield Source(path, name or path.name, path.stat().st_size if path.is_file() else None)


def _batches(sources: Sequence[Source]) -> Iterator[list[Source]]:
    batch: list[Source] = []
    size = 0
    for source in sources:
        batch.append(source)
        size += source.size or 0
        if len(batch) == BATCH_FILES or size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _archive(batch: Sequence[Source]) -> tuple[int, bytes]:
    """Bytes that were planned, and the archive of what the files are now."""
    parts: list[bytes] = []
    for source in batch:
        assert source.path is not None
        body = source.path.read_bytes()
        parts += [
            tar.header(source.name, len(body), int(source.path.stat().st_mtime * 1000)),
            body,
            tar.padding(len(body)),
        ]
    return sum(source.size or 0 for source in batch), b"".join([*parts, tar.END])


COMMANDS = (put,)
