"""One download as the node remembers it, and what is shown of it."""

from __future__ import annotations

import threading
import time
import uuid
from dataclasses import dataclass, field

from minga_node import tracing
from minga_node.downloads.model import Download, DownloadState
from minga_node.downloads.records import Record
from minga_node.downloads.task import Task
from minga_node.errors import MingaError
from minga_node.streams import Signal
from minga_node.swarm.pieces import Pieces
from minga_node.transfer.partial import pieces_bytes


@dataclass(slots=True, eq=False)
class Entry:
    """A download and, while it runs, its task. The lock of all downloads guards it."""

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
    """What was shown of it when its task ended."""
    kept_origins: dict[str, Pieces] = field(default_factory=dict)
    cancelled: bool = False
    trace: str = ""
    """What asked for it, as a traceparent."""
    done: threading.Event = field(default_factory=threading.Event)
    changed: Signal = field(default_factory=Signal)
    """Given when its task begins and at its end."""

    @classmethod
    def new(cls, content_id: str, name: str, limit: float) -> Entry:
        """One that is asked for now."""
        return cls(
            uuid.uuid4().hex,
            content_id,
            name,
            DownloadState.QUEUED,
            int(time.time() * 1000),
            limit=limit,
            trace=tracing.traceparent(),
        )

    @classmethod
    def of(cls, record: Record) -> Entry:
        """One that an earlier process knew; queued again if it had not ended."""
        entry = cls(
            record.id,
            record.content_id,
            record.name,
            record.state if record.state.ended else DownloadState.QUEUED,
            record.created_ms,
            record.size,
            record.error,
            record.error_type,
            limit=record.limit,
        )
        if entry.state.ended:
            entry.done.set()
        return entry

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

    def keep(self, task: Task, error: MingaError | None) -> None:
        """Remembers what its task leaves at its end."""
        self.last = self.view()
        self.kept_origins = task.origins()
        self.seconds = time.monotonic() - self.started
        self.error, self.error_type = (str(error), error.type) if error else ("", "")
        if task.manifest is not None:
            self.size = task.manifest.size

    def origins(self) -> dict[str, Pieces]:
        """The pieces that have come, by the peer that sent them; under "" those that were here before."""
        return self.task.origins() if self.task is not None else dict(self.kept_origins)

    def view(self) -> Download:
        """As it is now."""
        task = self.task
        last = self.last
        have, rate, holders, sources = task.progress() if task else (0, 0.0, 0, {})
        manifest = task.manifest if task else None
        verified = pieces_bytes(manifest, have) if manifest else 0
        pieces = manifest.pieces if manifest else last.pieces if last else 0
        verified_pieces = have.bit_count() if task else last.verified_pieces if last else 0
        if self.state is DownloadState.COMPLETE:
            verified, verified_pieces = self.size, pieces
        return Download(
            id=self.id,
            content_id=self.content_id,
            name=self.name,
            state=self.state,
            size=manifest.size if manifest else self.size,
            verified=verified or (last.verified if last and not task else verified),
            pieces=pieces,
            verified_pieces=verified_pieces,
            rate=rate,
            holders=holders,
            why=task.why() if task else "waits for its turn" if not self.state.ended else str(self.state),
            error=self.error,
            error_type=self.error_type,
            created_ms=self.created_ms,
            seconds=time.monotonic() - self.started if task else self.seconds,
            sources=sources if task else dict(last.sources) if last else {},
            duplicate_bytes=task.tally.duplicate_bytes if task else last.duplicate_bytes if last else 0,
            corrupt_pieces=task.tally.corrupt_pieces if task else last.corrupt_pieces if last else 0,
            stalls=task.tally.stalls if task else last.stalls if last else 0,
            limit=self.limit,
        )
