"""Runs downloads: so many at once, each on a thread of its own, to its end."""

from __future__ import annotations

import logging
import threading
import time
from contextlib import suppress

from minga_node import metrics, tracing
from minga_node.downloads.contents import copy_pieces
from minga_node.downloads.entry import Entry
from minga_node.downloads.exchange import Exchange
from minga_node.downloads.model import Cancelled, DownloadState, Here, no_room
from minga_node.downloads.records import Records
from minga_node.downloads.task import Task
from minga_node.errors import MingaError, StorageFailed, StorageFull
from minga_node.transfer import PartialFile, TokenBucket

log = logging.getLogger(__name__)


class Runner:
    """The queue, first come first served.

    Args:
        active: downloads that are queued or running, by content id; those who add some hold the lock.
        lock: guards the entries and ``active``.
        parallelism: how many run at once; others wait.
    """

    def __init__(
        self,
        node: Here,
        active: dict[str, Entry],
        *,
        lock: threading.Lock,
        records: Records,
        exchange: Exchange,
        parallelism: int,
    ) -> None:
        self._node, self._active, self._lock = node, active, lock
        self._records, self._exchange = records, exchange
        self._parallelism = max(1, parallelism)
        self.stopping = False

    def run_more(self) -> None:
        """Starts what is next; the lock is held."""
        if self.stopping:
            return
        running = sum(entry.task is not None for entry in self._active.values())
        for entry in list(self._active.values()):
            if running >= self._parallelism:
                return
            if entry.task is None:
                self._begin(entry)
                running += 1

    def cancel(self, entry: Entry) -> None:
        """Ends one, soon if it runs; the lock is held."""
        if not entry.state.ended:
            entry.cancelled = True
            if entry.task is None:
                self._end(entry, DownloadState.CANCELLED)
                self.run_more()
            else:
                entry.task.cancel()

    def stop(self, timeout: float) -> None:
        """Ends all tasks; the next start of the node continues them."""
        with self._lock:
            self.stopping = True
            running = [
                (entry.task, entry.thread) for entry in self._active.values() if entry.task is not None
            ]
        for task, _ in running:
            task.cancel()
        deadline = time.monotonic() + timeout
        for _, thread in running:
            if thread is not None:
                thread.join(max(0.1, deadline - time.monotonic()))

    def remove_orphans(self) -> None:
        """Partial files that no download continues."""
        if self._node.directory.is_dir():
            for path in self._node.directory.iterdir():
                if path.name.removesuffix(".pieces") not in self._active:
                    path.unlink(missing_ok=True)

    def _begin(self, entry: Entry) -> None:
        node = self._node
        entry.task = Task(
            entry.content_id,
            file_name=entry.name,
            name=node.name,
            directory=node.directory,
            network=node.network,
            exchange=self._exchange,
            capacity=node.capacity,
            limiter=TokenBucket(entry.limit, above=node.limiter),
            known_manifest=node.manifests.get(entry.content_id),
            keep_manifest=node.manifests.put,
        )
        entry.state = DownloadState.RUNNING
        entry.started = time.monotonic()
        entry.thread = threading.Thread(
            target=self._traced, args=(entry, entry.task), name=f"download {entry.name[:40]}", daemon=True
        )
        metrics.ACTIVE_DOWNLOADS.inc()
        entry.thread.start()
        entry.changed.notify()

    def _traced(self, entry: Entry, task: Task) -> None:
        attributes = {"minga.file.name": entry.name, "minga.content.id": entry.content_id}
        with tracing.span("download", attributes=attributes, parent=entry.trace) as span:
            self._run(entry, task)
            span.set({"minga.bytes": entry.size, "minga.download.state": str(entry.state)})
            if entry.error:
                span.fail(entry.error)

    def _run(self, entry: Entry, task: Task) -> None:
        state, error = self._outcome(entry, task)
        if state is not DownloadState.COMPLETE:
            # The next task may write to the same file.
            task.hang_up()
        with self._lock:
            entry.keep(task, error)
            partial = task.partial
            metrics.ACTIVE_DOWNLOADS.dec()
            if state is DownloadState.QUEUED:
                # The node stops; the record says that it goes on next time.
                entry.task = None
                entry.state = state
            else:
                self._end(entry, state)
            if partial is not None:
                partial.close()
                if state is DownloadState.COMPLETE:
                    partial.forget_bitmap()
                elif state is DownloadState.CANCELLED:
                    partial.remove()
            self.run_more()
        if state is not DownloadState.QUEUED:
            metrics.DOWNLOADS.labels(str(state)).inc()
            metrics.DOWNLOAD_SECONDS.labels(str(state)).observe(entry.seconds)
        if error is not None:
            log.warning("the download of %s failed: %s", entry.name, error)
        elif state is DownloadState.COMPLETE:
            log.info("fetched %s: %d bytes in %.2f s", entry.name, entry.size, entry.seconds)
            # Nobody has to wait for this.
            task.hang_up()

    def _outcome(self, entry: Entry, task: Task) -> tuple[DownloadState, MingaError | None]:
        """Fetches it into the library; the state that it ends in and why it failed."""
        node = self._node
        try:
            if task.manifest is None or not node.has(entry.name, entry.content_id):
                partial = self._copy_or_fetch(entry, task)
                node.adopt(partial.path, entry.name, partial.manifest)
        except Cancelled:
            return DownloadState.CANCELLED if entry.cancelled else DownloadState.QUEUED, None
        except StorageFull:
            return DownloadState.FAILED, no_room(
                node.name, node.capacity, node.manifests.get(entry.content_id)
            )
        except MingaError as problem:
            return DownloadState.FAILED, problem
        except OSError as problem:
            return DownloadState.FAILED, StorageFailed(f"{entry.name}: {problem}")
        except Exception as problem:
            log.exception("the download of %s ended unexpectedly", entry.name)
            return DownloadState.FAILED, MingaError(str(problem))
        return DownloadState.COMPLETE, None

    def _copy_or_fetch(self, entry: Entry, task: Task) -> PartialFile:
        """The same content may be here under another name: then nothing has to travel."""
        content = self._node.library(entry.content_id)
        manifest = self._node.manifests.get(entry.content_id)
        if content is not None:
            try:
                if manifest is not None and manifest.size == content.size:
                    partial = PartialFile(self._node.directory, manifest, self._node.capacity)
                    try:
                        copy_pieces(content.fileno(), partial)
                    finally:
                        partial.close()
            finally:
                content.close()
        return task.run()

    def _end(self, entry: Entry, state: DownloadState) -> None:
        """The lock is held."""
        entry.state = state
        entry.task = None
        del self._active[entry.content_id]
        with suppress(MingaError):
            self._records.put(entry.record())
        entry.done.set()
        entry.changed.notify()
