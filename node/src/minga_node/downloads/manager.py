"""All downloads of a node."""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from minga_node import metrics, tracing
from minga_node.downloads.batch import AdoptMany, Batch, SmallFile
from minga_node.downloads.batches import RunningBatch
from minga_node.downloads.contents import AllContents, copy_pieces
from minga_node.downloads.exchange import Exchange
from minga_node.downloads.model import Cancelled, Download, DownloadState, Network, no_room
from minga_node.downloads.reading import Reading
from minga_node.downloads.records import Record, Records
from minga_node.downloads.task import Task
from minga_node.errors import BadRequest, Conflict, MingaError, NotFound, StorageFailed, StorageFull
from minga_node.manifest import SMALLEST_PIECE, Manifest
from minga_node.manifests import Manifests
from minga_node.model import Flow, Peer
from minga_node.names import check_name
from minga_node.store import Store
from minga_node.swarm import pieces as sets
from minga_node.swarm.pieces import Pieces
from minga_node.transfer import OpenContent, PartialFile, TokenBucket
from minga_node.transfer.partial import pieces_bytes

log = logging.getLogger(__name__)

PARALLEL = 4
BATCHES_KEPT = 100
SHOWN = 5.0
"""Seconds for which an ended download still counts as a flow."""


@dataclass(slots=True, eq=False)
class _Entry:
    """A download and, while it runs, its task."""

    id: str
    content_id: str
    name: str
    state: DownloadState
    created_ms: int
    size: int = -1
    error: str = ""
    error_type: str = ""
    task: Task | None = None
    thread: threading.Thread | None = None
    started: float = 0.0
    seconds: float = 0.0
    limit: float = 0
    last: Download | None = None
    origins: dict[str, Pieces] = field(default_factory=dict)
    cancelled: bool = False
    readers: int = 0
    trace: str = ""
    """What asked for it, as a traceparent."""
    done: threading.Event = field(default_factory=threading.Event)

    def record(self) -> Record:
        return Record(
            self.id,
            self.content_id,
            self.name,
            self.state,
            self.error,
            self.error_type,
            self.created_ms,
            self.size,
            self.limit,
        )


class Downloads:
    """Starts, runs and remembers downloads.

    Args:
        store: where they are remembered.
        directory: partial files go here; on the file system of the library, for the atomic rename at the end.
        name: this node's id.
        network: reaches other nodes.
        manifests: those known.
        library: opens a complete content of this node by id; None where there is none.
        adopt: moves a complete file into the library under a name and publishes it.
        here: whether the library has this name with this content id already: then nothing is done at all.
        adopt_many: the same for a group of files.
        parallelism: how many run at once; others wait.
        download_limit: bytes a second, 0 for none.
    """

    def __init__(
        self,
        store: Store,
        directory: Path,
        *,
        name: str,
        network: Network,
        manifests: Manifests,
        library: Callable[[str], OpenContent | None],
        adopt: Callable[[Path, str, Manifest], object],
        adopt_many: AdoptMany | None = None,
        here: Callable[[str, str], bool] = lambda _name, _content_id: False,
        parallelism: int = PARALLEL,
        download_limit: float = 0,
    ) -> None:
        self._records, self._manifests = Records(store), manifests
        self._directory, self._name, self._network = directory, name, network
        self._library, self._adopt, self._here = library, adopt, here
        self._parallelism = max(1, parallelism)
        self._limiter = TokenBucket(download_limit)
        self._entries: dict[str, _Entry] = {}
        self._active: dict[str, _Entry] = {}
        """Queued or running, by content id."""
        self._adopt_many = adopt_many or (lambda files: [adopt(*file) for file in files])
        self._batches: dict[str, RunningBatch] = {}
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._stopping = False
        self.exchange = Exchange(
            self._available, on_follower=self._introduce, on_heard=self._heard, has=self._has
        )
        self.contents = AllContents(library, self._partial)
        """For the piece listener: the library's files and what has come of downloads."""

    def start_up(self) -> None:
        """Begins to exchange availability and continues what an earlier process left."""
        self.exchange.start()
        with self._lock:
            for record in self._records.all():
                entry = _Entry(
                    record.id,
                    record.content_id,
                    record.name,
                    record.state,
                    record.created_ms,
                    record.size,
                    record.error,
                    record.error_type,
                    limit=record.limit,
                )
                self._entries[entry.id] = entry
                if entry.state.ended:
                    entry.done.set()
                else:
                    entry.state = DownloadState.QUEUED
                    self._active[entry.content_id] = entry
            self._run_more()
        self._remove_orphans()

    def stop(self, timeout: float = 5.0) -> None:
        """Ends all tasks; the next start continues them."""
        with self._lock:
            self._stopping = True
            running = [entry for entry in self._active.values() if entry.task is not None]
            for batch in self._batches.values():
                batch.cancel()
            self._changed.notify_all()
        for entry in running:
            assert entry.task is not None
            entry.task.cancel()
        deadline = time.monotonic() + timeout
        for entry in running:
            if entry.thread is not None:
                entry.thread.join(max(0.1, deadline - time.monotonic()))
        self.exchange.stop()

    # what users ask for

    def start(
        self, content_id: str, name: str, from_peer: str | None = None, *, limit: float = 0
    ) -> Download:
        """Begins to fetch a content, to be filed under ``name``; the one already doing so if there is one.

        ``from_peer`` is only where the caller found it: an id says what the bytes are, whoever sends them.
        ``limit`` is what it may take, bytes a second; one that runs already keeps its own.

        Raises:
            InvalidName, BadRequest: not a name, not an id.
            Conflict: the content is on its way under another name.
        """
        del from_peer
        name = check_name(name)
        if len(content_id) != 64 or not set("0123456789abcdef").issuperset(content_id):
            raise BadRequest(f"an id has 64 hex digits, this is not one: {content_id[:80]!r}")
        with self._lock:
            entry = self._active.get(content_id)
            if entry is not None:
                if entry.name != name:
                    raise Conflict(f"this content is on its way already, as {entry.name}")
                return self._view(entry)
            entry = _Entry(
                uuid.uuid4().hex,
                content_id,
                name,
                DownloadState.QUEUED,
                int(time.time() * 1000),
                limit=limit,
            )
            entry.trace = tracing.traceparent()
            self._records.put(entry.record())
            self._entries[entry.id] = entry
            self._active[content_id] = entry
            self._run_more()
            return self._view(entry)

    def start_many(self, files: Sequence[SmallFile], label: str, *, limit: float = 0) -> Download:
        """Begins to fetch small files (at most one piece each) in batches; shown as one download.

        Its ``pieces`` are the files, its ``content_id`` is empty. It is not continued by the next start of
        the node: asking again fetches what is not here yet. Bigger files are for :meth:`start`.

        Raises:
            InvalidName, BadRequest: a name that cannot be, a file that is not small.
        """
        for file in files:
            check_name(file.name)
            if file.size > SMALLEST_PIECE:
                raise BadRequest(f"{file.name} has {file.size} bytes: too many for a batch")
        batch = Batch(
            files,
            directory=self._directory,
            name=self._name,
            network=self._network,
            library=self._library,
            here=self._here,
            adopt=self._adopt_many,
            limiter=TokenBucket(limit, above=self._limiter),
        )
        running = RunningBatch(uuid.uuid4().hex, label, batch)
        with self._lock:
            self._batches[running.id] = running
            ended = [one.id for one in self._batches.values() if one.ended.is_set()]
            for old in ended[:-BATCHES_KEPT]:
                del self._batches[old]
        running.start()
        return running.view()

    def taken(self, download_id: str) -> Iterator[Sequence[SmallFile]]:
        """The files of a batch as they get into the library, to its end.

        Raises:
            NotFound: there is no such batch.
        """
        with self._lock:
            if download_id not in self._batches:
                raise NotFound(f"no batch {download_id}")
            return self._batches[download_id].taken()

    def get(self, download_id: str) -> Download:
        """As it is now.

        Raises:
            NotFound
        """
        with self._lock:
            if download_id in self._batches:
                return self._batches[download_id].view()
            return self._view(self._entry(download_id))

    def list(self) -> tuple[Download, ...]:
        """All that are remembered, oldest first."""
        with self._lock:
            batches = [batch.view() for batch in self._batches.values()]
            return (*(self._view(entry) for entry in self._entries.values()), *batches)

    def origins(self, download_id: str) -> dict[str, Pieces]:
        """The pieces that have come, by the peer that sent them; under "" those that were here before.

        Raises:
            NotFound
        """
        with self._lock:
            if download_id in self._batches:
                return {}
            entry = self._entry(download_id)
            return entry.task.origins() if entry.task is not None else dict(entry.origins)

    def flows(self) -> tuple[Flow, ...]:
        """What those that run have received, by peer, and those that ended in the last seconds."""
        since = (time.time() - SHOWN) * 1000
        return tuple(
            Flow(download.id, peer, self._name, count)
            for download in self.list()
            if not download.state.ended or download.created_ms + download.seconds * 1000 > since
            for peer, count in download.sources.items()
        )

    @property
    def busy(self) -> bool:
        """Whether anything is fetched or waits to be."""
        with self._lock:
            return bool(self._active) or any(not batch.ended.is_set() for batch in self._batches.values())

    def stalled(self, seconds: float) -> int:
        """How many of those that run have got nothing for this long."""
        before = time.monotonic() - seconds
        with self._lock:
            tasks = [entry.task for entry in self._active.values()]
        return sum(task is not None and task.tally.last_piece < before for task in tasks)

    def cancel(self, download_id: str) -> Download:
        """Ends a download and forgets what has come of it; one that has ended is left as it is.

        Raises:
            NotFound
        """
        with self._lock:
            batch = self._batches.get(download_id)
        if batch is not None:
            batch.cancel()
            return batch.view()
        with self._lock:
            entry = self._entry(download_id)
            if not entry.state.ended:
                entry.cancelled = True
                if entry.task is None:
                    self._end(entry, DownloadState.CANCELLED)
                    self._run_more()
                else:
                    entry.task.cancel()
        entry.done.wait(10)
        return self.get(download_id)

    def wait(self, download_id: str, timeout: float | None = None) -> Download:
        """As it is at its end, or after ``timeout`` seconds.

        Raises:
            NotFound
        """
        self._done(download_id).wait(timeout)
        return self.get(download_id)

    def _done(self, download_id: str) -> threading.Event:
        with self._lock:
            batch = self._batches.get(download_id)
            return batch.ended if batch is not None else self._entry(download_id).done

    def watch(self, download_id: str, interval: float = 0.25) -> Iterator[Download]:
        """As it is now, then whenever it has changed but not more often than ``interval`` seconds, to its
        end.

        Raises:
            NotFound
        """
        last = None
        done = self._done(download_id)
        while True:
            ended = done.is_set()
            now = self.get(download_id)
            if now != last:
                yield now
                last = now
            if ended or self._stopping:
                return
            done.wait(interval)

    def read(self, content_id: str, start: int, end: int) -> Iterator[bytes]:
        """Bytes [start, end) of a content that is on its way, in order, as they come.

        Raises:
            NotFound: it is neither here nor on its way.
            MingaError: the download ended without success.
        """
        with self._lock:
            entry = self._active.get(content_id)
            if entry is not None:
                entry.readers += 1
        if entry is None:
            yield from self._read_local(content_id, start, end)
            return
        try:
            while entry.task is None and not entry.done.wait(0.02):
                pass
            if entry.task is not None:
                try:
                    position = start
                    for chunk in Reading(entry.task, start, end):
                        position += len(chunk)
                        yield chunk
                    return
                except Cancelled:
                    start = position
            if entry.state is not DownloadState.COMPLETE:
                raise NotFound(entry.error or f"the download of {entry.name} was ended")
            yield from self._read_local(content_id, start, end)
        finally:
            with self._lock:
                entry.readers -= 1

    def _read_local(self, content_id: str, start: int, end: int) -> Iterator[bytes]:
        content = self._library(content_id)
        if content is None:
            raise NotFound("this content is neither here nor on its way")
        try:
            reading = Reading.of_file(content.fileno(), start, end)
            yield from reading
        finally:
            content.close()

    # what the piece listener and gRPC ask for

    def manifest(self, content_id: str) -> Manifest | None:
        """A manifest this node knows."""
        return self._manifests.get(content_id)

    def _partial(self, content_id: str) -> PartialFile | None:
        entry = self._active.get(content_id)
        return entry.task.partial if entry is not None and entry.task is not None else None

    def _available(self, content_id: str) -> tuple[Pieces, int] | None:
        entry = self._active.get(content_id)
        if entry is not None:
            task = entry.task
            if task is None or task.partial is None:
                return (0, 1)
            return task.partial.have, task.partial.manifest.pieces
        content = self._library(content_id)
        if content is None:
            return None
        content.close()
        manifest = self._manifests.get(content_id)
        count = manifest.pieces if manifest else 1
        return sets.all_pieces(count), count

    def _introduce(self, content_id: str, peer: Peer) -> None:
        entry = self._active.get(content_id)
        if entry is not None and entry.task is not None:
            entry.task.introduce(peer, follows=True)

    def _heard(self, content_id: str, peer_id: str, pieces: str) -> None:
        entry = self._active.get(content_id)
        if entry is not None and entry.task is not None:
            entry.task.heard(peer_id, pieces)

    def _has(self, content_id: str, peer_id: str) -> Pieces:
        entry = self._active.get(content_id)
        return entry.task.has(peer_id) if entry is not None and entry.task is not None else 0

    # how they run

    def _run_more(self) -> None:
        """Starts what is next; the lock is held."""
        if self._stopping:
            return
        running = sum(entry.task is not None for entry in self._active.values())
        for entry in list(self._active.values()):
            if running >= self._parallelism:
                return
            if entry.task is None:
                self._begin(entry)
                running += 1

    def _begin(self, entry: _Entry) -> None:
        entry.task = Task(
            entry.content_id,
            name=self._name,
            directory=self._directory,
            network=self._network,
            exchange=self.exchange,
            limiter=TokenBucket(entry.limit, above=self._limiter),
            known_manifest=self._manifests.get(entry.content_id),
            keep_manifest=self._manifests.put,
        )
        entry.state = DownloadState.RUNNING
        entry.started = time.monotonic()
        entry.thread = threading.Thread(
            target=self._traced, args=(entry, entry.task), name=f"download {entry.name[:40]}", daemon=True
        )
        metrics.ACTIVE_DOWNLOADS.inc()
        entry.thread.start()

    def _traced(self, entry: _Entry, task: Task) -> None:
        attributes = {"minga.file.name": entry.name, "minga.content.id": entry.content_id}
        with tracing.span("download", attributes=attributes, parent=entry.trace) as span:
            self._run(entry, task)
            span.set({"minga.bytes": entry.size, "minga.download.state": str(entry.state)})
            if entry.error:
                span.fail(entry.error)

    def _run(self, entry: _Entry, task: Task) -> None:
        state = DownloadState.COMPLETE
        error: MingaError | None = None
        try:
            if task.manifest is None or not self._here(entry.name, entry.content_id):
                partial = self._copy_or_fetch(entry, task)
                self._adopt(partial.path, entry.name, partial.manifest)
        except Cancelled:
            state = DownloadState.CANCELLED if entry.cancelled else DownloadState.QUEUED
        except StorageFull:
            state = DownloadState.FAILED
            error = no_room(self._name, self._directory, self._manifests.get(entry.content_id))
        except MingaError as problem:
            state, error = DownloadState.FAILED, problem
        except OSError as problem:
            state, error = DownloadState.FAILED, StorageFailed(f"{entry.name}: {problem}")
        except Exception as problem:
            log.exception("the download of %s ended unexpectedly", entry.name)
            state, error = DownloadState.FAILED, MingaError(str(problem))
        with self._lock:
            entry.last = self._view(entry)
            entry.origins = task.origins()
            entry.seconds = time.monotonic() - entry.started
            entry.error, entry.error_type = (str(error), error.type) if error else ("", "")
            if task.manifest is not None:
                entry.size = task.manifest.size
            partial_or_none = task.partial
            metrics.ACTIVE_DOWNLOADS.dec()
            if state is DownloadState.QUEUED:
                # The node stops; the record says that it goes on next time.
                entry.task = None
                entry.state = state
            else:
                self._end(entry, state)
            if partial_or_none is not None:
                partial_or_none.close()
                if state is DownloadState.COMPLETE:
                    partial_or_none.forget_bitmap()
                elif state is DownloadState.CANCELLED:
                    partial_or_none.remove()
            self._run_more()
        if state is not DownloadState.QUEUED:
            metrics.DOWNLOADS.labels(str(state)).inc()
            metrics.DOWNLOAD_SECONDS.labels(str(state)).observe(entry.seconds)
        if error is not None:
            log.warning("the download of %s failed: %s", entry.name, error)
        elif state is DownloadState.COMPLETE:
            log.info("fetched %s: %d bytes in %.2f s", entry.name, entry.size, entry.seconds)

    def _copy_or_fetch(self, entry: _Entry, task: Task) -> PartialFile:
        """The same content may be here under another name: then nothing has to travel."""
        content = self._library(entry.content_id)
        manifest = self._manifests.get(entry.content_id)
        if content is not None:
            try:
                if manifest is not None and manifest.size == content.size:
                    partial = PartialFile(self._directory, manifest)
                    try:
                        copy_pieces(content.fileno(), partial)
                    finally:
                        partial.close()
            finally:
                content.close()
        return task.run()

    def _end(self, entry: _Entry, state: DownloadState) -> None:
        entry.state = state
        entry.task = None
        del self._active[entry.content_id]
        with suppress(MingaError):
            self._records.put(entry.record())
        entry.done.set()
        self._changed.notify_all()

    def _remove_orphans(self) -> None:
        """Partial files that no download continues."""
        if self._directory.is_dir():
            for path in self._directory.iterdir():
                if path.name.removesuffix(".pieces") not in self._active:
                    path.unlink(missing_ok=True)

    def _entry(self, download_id: str) -> _Entry:
        entry = self._entries.get(download_id)
        if entry is None:
            raise NotFound(f"no download {download_id}")
        return entry

    def _view(self, entry: _Entry) -> Download:
        task = entry.task
        last = entry.last
        have, rate, holders, sources = task.progress() if task else (0, 0.0, 0, {})
        manifest = task.manifest if task else None
        verified = pieces_bytes(manifest, have) if manifest else 0
        pieces = manifest.pieces if manifest else last.pieces if last else 0
        verified_pieces = have.bit_count() if task else last.verified_pieces if last else 0
        if entry.state is DownloadState.COMPLETE:
            verified, verified_pieces = entry.size, pieces
        return Download(
            id=entry.id,
            content_id=entry.content_id,
            name=entry.name,
            state=entry.state,
            size=manifest.size if manifest else entry.size,
            verified=verified or (last.verified if last and not task else verified),
            pieces=pieces,
            verified_pieces=verified_pieces,
            rate=rate,
            holders=holders,
            why=task.why() if task else "waits for its turn" if not entry.state.ended else str(entry.state),
            error=entry.error,
            error_type=entry.error_type,
            created_ms=entry.created_ms,
            seconds=time.monotonic() - entry.started if task else entry.seconds,
            sources=sources if task else dict(last.sources) if last else {},
            duplicate_bytes=task.tally.duplicate_bytes if task else last.duplicate_bytes if last else 0,
            corrupt_pieces=task.tally.corrupt_pieces if task else last.corrupt_pieces if last else 0,
            stalls=task.tally.stalls if task else last.stalls if last else 0,
            limit=entry.limit,
        )
