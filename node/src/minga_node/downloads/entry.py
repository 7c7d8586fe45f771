"""One download as the node remembers it, and what is shown of it."""

from __future__ import annotations

import threading
import time
import uuid
from dataclasses import dataclass, field

from minga_node import tracing
from minga_node.downloads.doubt import Doubt
from minga_node.downloads.download_records import DownloadRecord
from minga_node.downloads.model import Download, DownloadState
from minga_node.downloads.past import Carried, Past
from minga_node.downloads.task import Task
from minga_node.errors import MingaError
from minga_node.fetching.holes import pieces_bytes
from minga_node.streams import Signal
from minga_node.wire.piece_set import Pieces

TURN = "waits for its turn"


@dataclass(slots=True, eq=False)
class DownloadEntry:
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
    limit: float = 0
    last: Download | None = None
    """What was shown of it when its last task ended."""
    past: Past = field(default_factory=Past)
    """What came of the tasks before this one."""
    carried: Carried = field(default_factory=Carried)
    """What the next task should know."""
    doubt: Doubt = field(default_factory=Doubt)
    seen: object = None
    """Who had the content when it was tried last."""
    reason: str = ""
    """Why it waits."""
    verified_at: float = field(default_factory=time.monotonic)
    """When a piece came, or it was asked for."""
    cancelled: bool = False
    trace: str = ""
    """What asked for it, as a traceparent."""
    done: threading.Event = field(default_factory=threading.Event)
    changed: Signal = field(default_factory=Signal)
    """Given when its task begins and at its end."""

    @classmethod
    def new(cls, content_id: str, name: str, limit: float) -> DownloadEntry:
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
    def of(cls, record: DownloadRecord) -> DownloadEntry:
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

    def record(self) -> DownloadRecord:
        return DownloadRecord(
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

    def keep(self, task: Task) -> None:
        """Remembers what its task leaves at its end."""
        self.last = self.view()
        self.verified_at = max(self.verified_at, task.tally.last_piece)
        if task.manifest is not None:
            self.size = task.manifest.size
        self.past = Past(
            self.last.seconds,
            self.last.sources,
            self.last.duplicate_bytes,
            self.last.corrupt_pieces,
            self.last.stalls,
            self.origins(),
        )
        self.carried = task.carried(self.carried)
        self.task = self.thread = None

    def end(self, state: DownloadState, error: MingaError | None) -> None:
        """What came of it."""
        self.state = state
        self.error, self.error_type = (str(error), error.type) if error else ("", "")
        self.carried, self.doubt, self.seen = Carried(), Doubt(), None

    def origins(self) -> dict[str, Pieces]:
        """The pieces that have come, by the peer that sent them; under "" those that were here before."""
        return (
            self.past.with_origins(self.task.origins()) if self.task is not None else dict(self.past.origins)
        )

    def view(self) -> Download:
        """As it is now."""
        task, last, past = self.task, self.last, self.past
        # Until its file is open a task knows less than the one before it.
        running = task is not None and task.swarm is not None
        have, rate, holders, sources = task.progress() if task else (0, 0.0, 0, {})
        manifest = task.manifest if task else None
        if running and manifest:
            verified, pieces, verified_pieces = (
                pieces_bytes(manifest, have),
                manifest.pieces,
                have.bit_count(),
            )
        elif last is not None:
            verified, pieces, verified_pieces = last.verified, last.pieces, last.verified_pieces
        else:
            verified, pieces, verified_pieces = 0, manifest.pieces if manifest else 0, 0
        size = manifest.size if manifest else self.size
        if self.state is DownloadState.COMPLETE:
            verified, verified_pieces = self.size, pieces
        tally = task.tally if task else None
        return Download(
            id=self.id,
            content_id=self.content_id,
            name=self.name,
            state=self.state,
            size=size,
            verified=verified,
            pieces=pieces,
            verified_pieces=verified_pieces,
            rate=rate,
            holders=holders,
            why=self._why(),
            error=self.error,
            error_type=self.error_type,
            created_ms=self.created_ms,
            seconds=past.seconds + (time.monotonic() - self.started if task else 0.0),
            sources=past.with_sources(sources),
            duplicate_bytes=past.duplicate_bytes + (tally.duplicate_bytes if tally else 0),
            corrupt_pieces=past.corrupt_pieces + (tally.corrupt_pieces if tally else 0),
            stalls=past.stalls + (tally.stalls if tally else 0),
            limit=self.limit,
        )

    def _why(self) -> str:
        if self.state is DownloadState.WAITING:
            return self.reason
        if self.task is not None:
            return self.task.why()
        return str(self.state) if self.state.ended else TURN
