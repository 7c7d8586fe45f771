"""Batches of small files while they run, each seen as one download."""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Iterator, Sequence

from minga_node import metrics, tracing
from minga_node.downloads.batch import SmallFile, SmallFileBatch
from minga_node.downloads.model import Download, DownloadState, Here, held_back_by
from minga_node.errors import BadRequest, MingaError, NoHolders
from minga_node.manifest import SMALLEST_PIECE_BYTES
from minga_node.names import check_name
from minga_node.streams import Pause
from minga_node.swarm import Why
from minga_node.wire import TokenBucket

log = logging.getLogger(__name__)

KEPT = 100
"""Ended batches that are shown."""


class RunningBatch:
    """Runs a batch on a thread of its own."""

    def __init__(self, id: str, label: str, batch: SmallFileBatch) -> None:  # noqa: A002
        self.id, self._label, self._batch = id, label, batch
        self.ended = threading.Event()
        self._state = DownloadState.RUNNING
        self._error: MingaError | None = None
        self._created_ms = int(time.time() * 1000)
        self._started = time.monotonic()
        self._seconds: float | None = None
        self._trace = tracing.traceparent()

    @property
    def names(self) -> list[str]:
        return [file.name for file in self._batch.files]

    def start(self) -> None:
        metrics.ACTIVE_DOWNLOADS.inc()
        threading.Thread(target=self._traced, name="batch of files", daemon=True).start()

    def cancel(self) -> None:
        """What is in the library stays."""
        if not self.ended.is_set():
            self._state = DownloadState.CANCELLED
            self._batch.cancel()

    def _traced(self) -> None:
        with tracing.span("download batch", parent=self._trace) as span:
            self._run()
            span.set({"minga.files": self._batch.done, "minga.bytes": self._batch.bytes})
            if self._error is not None:
                span.fail(str(self._error))

    def taken(self) -> Iterator[Sequence[SmallFile] | Pause]:
        """Its files as they get into the library, until it is known what came of it."""
        yield from self._batch.taken()
        while not self.ended.is_set():
            yield Pause(0.05)

    def why(self) -> str:
        """Why it is not faster, or has ended."""
        if self._state is not DownloadState.RUNNING:
            return str(self._state)
        if self._batch.syncing:
            return str(Why.DISK)
        return held_back_by(self._batch.limiter) or str(Why.RUNNING)

    def _run(self) -> None:
        state = DownloadState.COMPLETE
        try:
            self._batch.run()
        except MingaError as error:
            state, self._error = DownloadState.FAILED, error
            log.warning("%s: %s", self._label, error)
        except Exception as error:
            log.exception("%s ended unexpectedly", self._label)
            state, self._error = DownloadState.FAILED, MingaError(str(error))
        if state is DownloadState.COMPLETE and self._batch.missing:
            state = DownloadState.FAILED
            missing = self._batch.missing
            more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
            self._error = NoHolders(f"nobody gives {missing[0]}{more}")
        if self._state is not DownloadState.CANCELLED:
            self._state = state
        self._seconds = time.monotonic() - self._started
        metrics.ACTIVE_DOWNLOADS.dec()
        metrics.DOWNLOADS.labels(str(self._state)).inc()
        metrics.DOWNLOAD_SECONDS.labels(str(self._state)).observe(self._seconds)
        self.ended.set()

    def view(self) -> Download:
        batch = self._batch
        seconds = self._seconds if self._seconds is not None else time.monotonic() - self._started
        return Download(
            id=self.id,
            content_id="",
            name=self._label,
            state=self._state,
            size=batch.size,
            verified=batch.bytes,
            pieces=len(batch.files),
            verified_pieces=batch.done,
            rate=0.0 if self.ended.is_set() else batch.bytes / max(seconds, 0.001),
            holders=len(batch.sources),
            why=self.why(),
            error=str(self._error) if self._error else "",
            error_type=self._error.type if self._error else "",
            created_ms=self._created_ms,
            seconds=seconds,
            sources=dict(batch.sources),
            limit=batch.limiter.rate,
        )


class Batches:
    """Those of this process, oldest first."""

    def __init__(self, node: Here) -> None:
        self._node = node
        self._lock = threading.Lock()
        self._all: dict[str, RunningBatch] = {}

    def start(self, files: Sequence[SmallFile], label: str, limit: float) -> Download:
        """Begins to fetch the files.

        Raises:
            InvalidName, BadRequest: a name that cannot be, a file that is not small.
        """
        for file in files:
            check_name(file.name)
            if file.size > SMALLEST_PIECE_BYTES:
                raise BadRequest(f"{file.name} has {file.size} bytes: too many for a batch")
        batch = SmallFileBatch(
            files,
            directory=self._node.directory,
            name=self._node.name,
            network=self._node.network,
            library=self._node.library,
            here=self._node.has,
            adopt=self._node.adopt_many,
            capacity=self._node.capacity,
            limiter=TokenBucket(limit, above=self._node.limiter),
        )
        running = RunningBatch(uuid.uuid4().hex, label, batch)
        with self._lock:
            self._all[running.id] = running
            ended = [one.id for one in self._all.values() if one.ended.is_set()]
            for old in ended[:-KEPT]:
                del self._all[old]
        running.start()
        return running.view()

    def get(self, batch_id: str) -> RunningBatch | None:
        with self._lock:
            return self._all.get(batch_id)

    def all(self) -> list[RunningBatch]:
        with self._lock:
            return list(self._all.values())
