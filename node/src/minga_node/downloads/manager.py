"""All downloads of a node."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from minga_node.capacity import Capacity
from minga_node.downloads.batch import SmallFile
from minga_node.downloads.batches import Batches
from minga_node.downloads.contents import AllContents
from minga_node.downloads.download_records import KEPT, DownloadRecords
from minga_node.downloads.entry import DownloadEntry
from minga_node.downloads.exchange import Exchange
from minga_node.downloads.model import AdoptMany, Download, DownloadNetwork, DownloadState, Here
from minga_node.downloads.reading import read, read_local
from minga_node.downloads.runner import Runner
from minga_node.downloads.serving import DownloadServing
from minga_node.errors import BadRequest, Conflict, NotFound
from minga_node.manifest import Manifest
from minga_node.manifests import Manifests
from minga_node.model import Flow
from minga_node.names import check_name
from minga_node.store import Store
from minga_node.streams import Pause, blocking
from minga_node.uploads import OpenContent
from minga_node.uploads.connection import Opener
from minga_node.wire import TokenBucket
from minga_node.wire.piece_set import Pieces
from minga_node.workers import Worker

PARALLEL = 4
SHOWN = 5.0
"""Seconds for which an ended download still counts as a flow."""


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
        several: opens some contents like ``library``, with one look at the directory.
        capacity: how much may be kept.
    """

    def __init__(
        self,
        store: Store,
        directory: Path,
        *,
        name: str,
        network: DownloadNetwork,
        manifests: Manifests,
        library: Callable[[str], OpenContent | None],
        adopt: Callable[[Path, str, Manifest], object],
        adopt_many: AdoptMany | None = None,
        here: Callable[[str, str], bool] = lambda _name, _content_id: False,
        parallelism: int = PARALLEL,
        download_limit: float = 0,
        several: Callable[[], AbstractContextManager[Opener]] | None = None,
        capacity: Capacity | None = None,
    ) -> None:
        self._node = Here(
            name,
            directory,
            network,
            manifests,
            library,
            here,
            adopt,
            adopt_many or (lambda files: [adopt(*file) for file in files]),
            capacity or Capacity(directory.parent),
            TokenBucket(download_limit),
        )
        self._records = DownloadRecords(store)
        self._lock = threading.Lock()
        """Guards the entries and which of them are active; held for a look at memory, never across the state,
        the disk or a peer."""
        self._starting = threading.Lock()
        """Held while one is remembered before it counts, so that one content is never fetched twice."""
        self._entries: dict[str, DownloadEntry] = {}
        self._ended: deque[str] = deque()
        """Ids of those that have ended, the first to end first."""
        self._active: dict[str, DownloadEntry] = {}
        """Those that have not ended, by content id."""
        self._batches = Batches(self._node)
        serving = DownloadServing(self._node, self._active, lambda *peer: self._runner.met(*peer))
        self.exchange = Exchange(
            serving.available,
            on_follower=serving.met,
            on_heard=serving.heard,
            has=serving.has,
            tell=serving.tell,
        )
        self.contents = AllContents(library, serving.open, several)
        """For the piece listener: the library's files and what has come of downloads."""
        self._runner = Runner(
            self._node,
            self._active,
            lock=self._lock,
            records=self._records,
            exchange=self.exchange,
            on_end=self._has_ended,
            parallelism=parallelism,
        )

    @property
    def workers(self) -> tuple[Worker, ...]:
        return self._runner.worker, self.exchange.worker

    @property
    def on_gone(self) -> list[Callable[[str], None]]:
        """Told the id of a content whose download ended as nobody has it any more; from any thread."""
        return self._runner.on_gone

    def start_up(self) -> None:
        """Begins to exchange availability and continues what an earlier process left."""
        self.exchange.start()
        records = self._records.all()
        with self._lock:
            for record in records:
                entry = self._entries[record.id] = DownloadEntry.of(record)
                if entry.state.ended:
                    self._ended.append(entry.id)
                else:
                    self._runner.add(entry)
        self._runner.remove_orphans()
        self._runner.start()

    def changed(self) -> None:
        """Nodes have come or gone, or share something else: what waits for a holder may have one now."""
        self._runner.changed()

    def _has_ended(self, entry: DownloadEntry) -> Sequence[str]:
        """Which ended ones are forgotten for one more; the lock is held."""
        self._ended.append(entry.id)
        forgotten = [self._ended.popleft() for _ in range(len(self._ended) - KEPT)]
        for old in forgotten:
            self._entries.pop(old, None)
        return forgotten

    def stop(self, timeout: float = 5.0) -> None:
        """Ends all tasks; the next start continues them."""
        for batch in self._batches.all():
            batch.cancel()
        self._runner.stop(timeout)
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
        with self._starting:
            with self._lock:
                entry = self._active.get(content_id)
                if entry is not None:
                    if entry.name != name:
                        raise Conflict(f"this content is on its way already, as {entry.name}")
                    return entry.view()
            entry = DownloadEntry.new(content_id, name, limit)
            self._records.put(entry.record())
            with self._lock:
                self._entries[entry.id] = entry
                self._runner.add(entry)
                return entry.view()

    def start_many(self, files: Sequence[SmallFile], label: str, *, limit: float = 0) -> Download:
        """Begins to fetch small files (at most one piece each) in batches; shown as one download.

        Its ``pieces`` are the files, its ``content_id`` is empty. It is not continued by the next start of
        the node: asking again fetches what is not here yet. Bigger files are for :meth:`start`.

        Raises:
            InvalidName, BadRequest: a name that cannot be, a file that is not small.
        """
        return self._batches.start(files, label, limit)

    def taken(self, download_id: str) -> Iterator[Sequence[SmallFile]]:
        """The files of a batch as they get into the library, to its end; waits for them.

        Raises:
            NotFound: there is no such batch.
        """
        return blocking(self.taking(download_id))

    def taking(self, download_id: str) -> Iterator[Sequence[SmallFile] | Pause]:
        """The same, with pauses instead of waiting.

        Raises:
            NotFound: there is no such batch.
        """
        batch = self._batches.get(download_id)
        if batch is None:
            raise NotFound(f"no batch {download_id}")
        return batch.taken()

    def get(self, download_id: str) -> Download:
        """As it is now.

        Raises:
            NotFound
        """
        batch = self._batches.get(download_id)
        if batch is not None:
            return batch.view()
        with self._lock:
            return self._entry(download_id).view()

    def names(self, download_id: str) -> Sequence[str]:
        """The names of all files that a download fetches.

        Raises:
            NotFound
        """
        batch = self._batches.get(download_id)
        if batch is not None:
            return batch.names
        with self._lock:
            return (self._entry(download_id).name,)

    def on_its_way(self, content_id: str) -> Download | None:
        """What fetches a content just now, or waits to; None if nothing does."""
        with self._lock:
            entry = self._active.get(content_id)
            return entry.view() if entry is not None else None

    def list(self) -> tuple[Download, ...]:
        """All that are remembered, oldest first."""
        with self._lock:
            views = [entry.view() for entry in self._entries.values()]
        return (*views, *(batch.view() for batch in self._batches.all()))

    def origins(self, download_id: str) -> dict[str, Pieces]:
        """The pieces that have come, by the peer that sent them; under "" those that were here before.

        Raises:
            NotFound
        """
        if self._batches.get(download_id) is not None:
            return {}
        with self._lock:
            return self._entry(download_id).origins()

    def flows(self) -> tuple[Flow, ...]:
        """What those that run have received, by peer, and those that ended in the last seconds."""
        since = (time.time() - SHOWN) * 1000
        return tuple(
            Flow(download.id, peer, self._node.name, count)
            for download in self.list()
            if not download.state.ended or download.created_ms + download.seconds * 1000 > since
            for peer, count in download.sources.items()
        )

    @property
    def busy(self) -> bool:
        """Whether anything is fetched or waits for its turn; what waits for a holder does not count."""
        return self._runner.busy or any(not batch.ended.is_set() for batch in self._batches.all())

    def stalled(self, seconds: float) -> int:
        """How many of those that run or wait for a holder have got nothing for this long."""
        before = time.monotonic() - seconds
        with self._lock:
            return sum(
                (entry.task.tally.last_piece if entry.task is not None else entry.verified_at) < before
                for entry in self._active.values()
                if entry.state is not DownloadState.QUEUED
            )

    def cancel(self, download_id: str) -> Download:
        """Ends a download and forgets what has come of it; one that has ended is left as it is.

        Raises:
            NotFound
        """
        batch = self._batches.get(download_id)
        if batch is not None:
            batch.cancel()
            return batch.view()
        look, ended = self._followed(download_id)
        with self._lock:
            entry = self._entry(download_id)
        self._runner.cancel(entry)
        ended.wait(10)
        return look()

    def wait(self, download_id: str, timeout: float | None = None) -> Download:
        """As it is at its end, or after ``timeout`` seconds.

        Raises:
            NotFound
        """
        look, ended = self._followed(download_id)
        ended.wait(timeout)
        return look()

    def _followed(self, download_id: str) -> tuple[Callable[[], Download], threading.Event]:
        """How to see it as it is, and its end; also when it has been forgotten meanwhile."""
        batch = self._batches.get(download_id)
        if batch is not None:
            return batch.view, batch.ended
        with self._lock:
            entry = self._entry(download_id)

        def look() -> Download:
            with self._lock:
                return entry.view()

        return look, entry.done

    def watch(self, download_id: str, interval: float = 0.25) -> Iterator[Download]:
        """As it is now, then whenever it has changed but not more often than ``interval`` seconds, to its
        end.

        Raises:
            NotFound
        """
        last = None
        look, done = self._followed(download_id)
        while True:
            ended = done.is_set()
            now = look()
            if now != last:
                yield now
                last = now
            if ended or self._runner.stopping:
                return
            done.wait(interval)

    def read(self, content_id: str, start: int, end: int) -> Iterator[bytes]:
        """Bytes [start, end) of a content that is on its way, in order, as they come; waits for them.

        Raises:
            NotFound: it is neither here nor on its way.
            MingaError: the download ended without success.
        """
        return blocking(self.reading(content_id, start, end))

    def reading(self, content_id: str, start: int, end: int) -> Iterator[bytes | Pause]:
        """The same, with pauses instead of waiting."""
        with self._lock:
            entry = self._active.get(content_id)
        if entry is None:
            yield from read_local(self._node.library, content_id, start, end)
            return
        # It has a slot of its own meanwhile. A task may give up, and another one go on where it was.
        self._runner.reader(entry, 1)
        try:
            yield from read(entry, self._node.library, start, end)
        finally:
            self._runner.reader(entry, -1)

    def manifest(self, content_id: str) -> Manifest | None:
        """A manifest this node knows."""
        return self._node.manifests.get(content_id)

    def _entry(self, download_id: str) -> DownloadEntry:
        """The lock is held."""
        entry = self._entries.get(download_id)
        if entry is None:
            raise NotFound(f"no download {download_id}")
        return entry
