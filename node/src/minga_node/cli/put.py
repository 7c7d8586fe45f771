"""``minga put``: shares files through the node."""

from __future__ import annotations

import io
import os
import stat
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
from minga_node.cli.overwriting import check_names
from minga_node.disk import is_executable
from minga_node.errors import InvalidName
from minga_node.manifest import SMALLEST_PIECE_BYTES
from minga_node.model import Attributes
from minga_node.names import check_name, is_hidden

BATCH_FILES = 500
BATCH_BYTES = 8 * 1024 * 1024
OWN_FAULT = {400, 403, 404, 409, 412}
"""Statuses of a refusal for the sake of one file, after which the others may do."""
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
@click.argument("paths", nargs=-1, required=True)
@click.option("--as", "name", metavar="NAME", help="Name in the network; by default the file's own.")
@click.option("--recursive", "-r", is_flag=True, help="Put folders with all that is in them.")
@click.option("--force", is_flag=True, help="Replace other contents of these names without asking.")
@click.pass_obj
def put(
    obj: tuple[Client, Output], paths: tuple[str, ...], name: str | None, recursive: bool, force: bool
) -> None:
    """Shares files: puts them into the node's library.

    Of folders, hidden files are left out. What is there already with the same content is left as it is, so
    the same command again goes on after an interruption. Another content of that name at the node is replaced
    if you say so, or with --force.

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
    if name is not None:
        _check_as(name)
    skipped: list[tuple[str, str]] = []
    sources = list(_plan(paths, name, recursive, skipped))
    if not force:
        check_names(client, ((source.name, source.path) for source in sources))
    small = [source for source in sources if source.size is not None and source.size <= SMALLEST_PIECE_BYTES]
    if len(small) < 2:
        small = []
    in_batches = set(small)
    with output.progress() as progress:
        sending = Sending(client, output, progress, alone=len(sources) == 1 and not skipped)
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
    if output.for_programs:
        output.data(sending.results)
    if refused := [*skipped, *sending.refused]:
        raise ClientError("\n".join(f"{name}: {reason}" for name, reason in refused))


class Sending:
    """Sends files to the node and shows how far that is.

    Args:
        alone: whether there is one file only, so that there is nothing to go on with.
    """

    def __init__(self, client: Client, output: Output, progress: Progress, *, alone: bool) -> None:
        self._client, self._output, self._progress = client, output, progress
        self._alone = alone
        self.results: list[dict[str, Any]] = []
        self.refused: list[tuple[str, str]] = []
        """Names that the node does not take, and why."""

    def one(self, source: Source) -> None:
        """One file in a request of its own; what is refused for its own sake is remembered.

        Raises:
            ClientError: the node takes nothing at all, or there is just this one.
        """
        task = self._progress.add_task(source.name, total=source.size, note="")
        try:
            stream: IO[bytes] = source.path.open("rb") if source.path else sys.stdin.buffer
        except OSError as error:
            self.refused.append((source.name, error.strerror or str(error)))
            return
        try:
            with stream:
                # A pipe was not modified at any time that means something.
                status = None if source.size is None else os.fstat(stream.fileno())
                attributes = Attributes(status.st_mtime, is_executable(status)) if status else Attributes()
                counted = _Counted(stream, self._progress, task)
                row = self._client.put_file(source.name, counted, source.size, attributes)
        except ClientError as error:
            if self._alone or error.problem.get("status") not in OWN_FAULT:
                raise
            self.refused.append((source.name, str(error)))
            return
        self._tell([row])

    def batches(self, sources: Sequence[Source]) -> None:
        """Small files, hundreds in each request."""
        if not sources:
            return
        total = sum(source.size or 0 for source in sources)
        task = self._progress.add_task(f"{len(sources)} small files", total=total, note="")

        def send(batch: list[Source]) -> tuple[int, dict[str, Any]]:
            sent, body, unread = _archive(batch)
            self.refused += unread
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


def _check_as(name: str) -> None:
    """Raises ClientError where no file of a network can have this name."""
    try:
        check_name(name)
    except InvalidName as error:
        raise ClientError(f"--as: {error}", 2) from None


def _plan(
    paths: Sequence[str], name: str | None, recursive: bool, skipped: list[tuple[str, str]]
) -> Iterator[Source]:
    """What to send; ``skipped`` gets what of folders is not, and why."""
    for given in paths:
        path = Path(given)
        if given != "-" and not path.exists():
            raise ClientError(f"{given} does not exist on this machine", 2)
        if given != "-" and not os.access(path, os.R_OK):
            raise ClientError(f"{given} is not readable", 2)
        if given == "-":
            if name is None:
                raise click.UsageError("standard input needs a name: --as NAME")
            yield Source(None, name)
        elif path.is_dir():
            if not recursive:
                raise click.UsageError(f"{given} is a folder: put it with -r")
            root = name or path.resolve().name
            for item in sorted(_below(path, root, skipped)):
                below = item.relative_to(path).as_posix()
                if is_hidden(below) or (item.is_dir() and not item.is_symlink()):
                    continue
                if reason := _unfit(item, f"{root}/{below}"):
                    skipped.append((f"{root}/{below}", reason))
                else:
                    yield Source(item, f"{root}/{below}", item.stat().st_size)
        else:
            # A pipe has no size that says anything.
            yield Source(path, name or path.name, path.stat().st_size if path.is_file() else None)


def _below(path: Path, root: str, skipped: list[tuple[str, str]]) -> Iterator[Path]:
    """All that is in a folder, and in those in it; ``skipped`` gets what cannot be looked into."""

    def note(error: OSError) -> None:
        below = Path(error.filename).relative_to(path).as_posix()
        if not is_hidden(below):
            skipped.append((root if below == "." else f"{root}/{below}", error.strerror or str(error)))

    for folder, folders, files in os.walk(path, onerror=note):
        for name in (*folders, *files):
            yield Path(folder, name)


def _unfit(item: Path, name: str) -> str:
    """Why something in a folder cannot be shared; empty if it can."""
    try:
        check_name(name)
        mode = item.stat().st_mode
    except InvalidName as error:
        return str(error)
    except OSError as error:
        return "a link that leads nowhere" if item.is_symlink() else error.strerror or str(error)
    if stat.S_ISDIR(mode):
        return "a link to a folder"
    return "" if stat.S_ISREG(mode) else "no regular file but a pipe, a socket or a device"


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


def _archive(batch: Sequence[Source]) -> tuple[int, bytes, list[tuple[str, str]]]:
    """Bytes that were planned, the archive of what the files are now, and what could not be read and why."""
    parts: list[bytes] = []
    unread: list[tuple[str, str]] = []
    for source in batch:
        assert source.path is not None
        try:
            body, status = source.path.read_bytes(), source.path.stat()
        except OSError as error:
            unread.append((source.name, error.strerror or str(error)))
            continue
        modified_ms, executable = int(status.st_mtime * 1000), is_executable(status)
        header = tar.header(source.name, len(body), modified_ms, executable=executable)
        parts += [header, body, tar.padding(len(body))]
    return sum(source.size or 0 for source in batch), b"".join([*parts, tar.END]), unread


COMMANDS = (put,)
