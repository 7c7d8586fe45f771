"""Runs downloads: gives them their slots, has them give these up, looks at those that wait.

Everything that takes its time (the index, the state, the disk) is done without the lock: whoever lists the
downloads waits for nothing but memory.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace

from minga_node import metrics
from minga_node.downloads.attempt import DownloadAttempt
from minga_node.downloads.download_records import DownloadRecords
from minga_node.downloads.entry import DownloadEntry
from minga_node.downloads.exchange import Exchange
from minga_node.downloads.model import DownloadState, Here
from minga_node.downloads.prospects import Prospect, Prospects
from minga_node.downloads.task import Task
from minga_node.downloads.turns import TurnPhase, Turns
from minga_node.errors import Gone, MingaError
from minga_node.fetching.left import remove_partial
from minga_node.swarm import Why
from minga_node.wire import TokenBucket
from minga_node.workers import Worker

log = logging.getLogger(__name__)

LOOK = 0.5
"""Seconds between looks at those that run."""
CHANGES = 1.0
"""Seconds between two looks at all that wait because something in the network has changed."""
SHARE = 20
"""Such a look that took a second is followed by so many seconds without one."""
MOST_INTRODUCED = 64


class Runner:
    """One thread that decides, and one for each download that runs.

    Args:
        active: downloads that have not ended, by content id.
        lock: guards the entries and ``active``; never held across anything that waits.
        records: where it is remembered what has ended.
        on_end: called with the lock held when one has ended; the ids of those to be forgotten for it.
        parallelism: how many run at once; others wait.
    """

    def __init__(
        self,
        node: Here,
        active: dict[str, DownloadEntry],
        *,
        lock: threading.Lock,
        records: DownloadRecords,
        exchange: Exchange,
        on_end: Callable[[DownloadEntry], Sequence[str]],
        parallelism: int,
    ) -> None:
        self._node, self._active, self._lock = node, active, lock
        self._records, self._exchange, self._on_end = records, exchange, on_end
        self._turns = Turns(max(1, parallelism))
        self._prospects = Prospects(node)
        self._news = False
        """Whether something in the network has changed since the last look at those that wait."""
        self._look_at = 0.0
        self.on_gone: list[Callable[[str], None]] = []
        """Told the id of a content whose download ended since nobody has it any more; outside of the lock."""
        self.stopping = False
        self.worker = Worker("downloads", self.step)

    def start(self) -> None:
        self.worker.start()

    def stop(self, timeout: float) -> None:
        """Ends all tasks; the next start of the node continues them."""
        with self._lock:
            self.stopping = True
            running = [(e.task, e.thread) for e in self._active.values() if e.task is not None]
        for task, _ in running:
            task.cancel()
        deadline = time.monotonic() + timeout
        self.worker.stop(timeout)
        for _, thread in running:
            if thread is not None and thread.ident is not None:
                thread.join(max(0.1, deadline - time.monotonic()))

    # what others tell

    def add(self, entry: DownloadEntry) -> None:
        """One more; the lock is held."""
        self._active[entry.content_id] = entry
        self._turns.add(entry.content_id)
        self.worker.wake()

    def changed(self) -> None:
        """Somebody has come or gone, or shares something else: those that wait are looked at again."""
        self._news = True
        self.worker.wake()

    def met(self, content_id: str, peer_id: str) -> None:
        """A peer asks for what waits here: it may have some of it, or get some."""
        with self._lock:
            entry = self._active.get(content_id)
            if entry is None or entry.task is not None:
                return
            known = entry.carried.introduced
            if peer_id in known or len(known) >= MOST_INTRODUCED:
                return
            entry.carried = replace(entry.carried, introduced=known | {peer_id})
            self._turns.changed(content_id)
            self._show_phase(entry)
        self.worker.wake()

    def reader(self, entry: DownloadEntry, count: int) -> None:
        """So many more read from it."""
        with self._lock:
            self._turns.reader(entry.content_id, count)
            self._show_phase(entry)
        self.worker.wake()

    @property
    def busy(self) -> bool:
        """Whether anything runs or could."""
        with self._lock:
            return self._turns.busy

    def cancel(self, entry: DownloadEntry) -> None:
        """Ends one: at once if it waits, soon if it runs."""
        with self._lock:
            if entry.state.ended:
                return
            entry.cancelled = True
            task = entry.task
        if task is not None:
            task.cancel()
        else:
            self._finish(entry, DownloadState.CANCELLED)

    def remove_orphans(self) -> None:
        """Partial files that no download continues."""
        if self._node.directory.is_dir():
            for path in self._node.directory.iterdir():
                if path.name.removesuffix(".pieces") not in self._active:
                    path.unlink(missing_ok=True)

    # the thread that decides

    def step(self) -> float | None:
        """Looks at everything once; the seconds until that makes sense again, None for when it is woken."""
        now = time.monotonic()
        self._let_leave(now)
        self._look_at_parked(now)
        self._begin_ready()
        with self._lock:
            pauses = [self._turns.seconds(now)]
            if any(True for _ in self._turns.running):
                pauses.append(LOOK)
            if self._news:
                pauses.append(max(0.0, self._look_at - now))
            return min((pause for pause in pauses if pause is not None), default=None)

    def _let_leave(self, now: float) -> None:
        """Those that run and get nothing give their slots up."""
        with self._lock:
            tasks = {key: self._active[key].task for key in self._turns.running}
        signs = {key: task.signs(now) for key, task in tasks.items() if task is not None}
        with self._lock:
            leaving = [tasks[key] for key in self._turns.leave(signs, now)]
        for task in leaving:
            if task is not None:
                task.leave()

    def _look_at_parked(self, now: float) -> None:
        """Those whose pause is over, or all if something has changed."""
        with self._lock:
            due = set(self._turns.due(now))
            keys = set(due)
            news = self._news and now >= self._look_at
            if news:
                self._news = False
                keys.update(self._turns.parked)
        failed: MingaError | None = None
        for key in keys:
            if self.stopping:
                return
            try:
                self._look_at_one(key, now, key in due)
            except MingaError as error:
                failed = error
                with self._lock:
                    if self._turns.phase(key) is TurnPhase.PARKED:
                        self._turns.park(key, now)
        if failed is not None:
            raise failed
        if news:
            self._look_at = now + max(CHANGES, SHARE * (time.monotonic() - now))

    def _look_at_one(self, key: str, now: float, due: bool) -> None:
        with self._lock:
            entry = self._active.get(key)
        if entry is None:
            return
        prospect = self._prospects.of(key, entry.name, entry.carried)
        with self._lock:
            if self._turns.phase(key) is not TurnPhase.PARKED:
                return
            gone = self._takes_in(entry, prospect, now)
            if gone:
                pass
            elif prospect.promising and prospect.seen != entry.seen:
                self._turns.changed(key)
            elif due and prospect.promising:
                self._turns.retry(key)
            elif due:
                self._turns.park(key, now)
            self._show_phase(entry)
        if gone:
            self._everybody_denies(entry, prospect)

    def _takes_in(self, entry: DownloadEntry, prospect: Prospect, now: float) -> bool:
        """What a look at a download says of it; whether it is gone. The lock is held."""
        lies = entry.carried.lies
        if lies:
            # Who shares it no more was no liar: its file was changed.
            kept = {peer: count for peer, count in lies.items() if peer in prospect.listed}
            entry.carried = replace(entry.carried, lies=kept)
        if not prospect.promising:
            entry.reason = prospect.reason
        return entry.doubt.gone(prospect.listed, prospect.other_content, now) and not prospect.elsewhere

    def _everybody_denies(self, entry: DownloadEntry, prospect: Prospect) -> None:
        why = Why.OTHER_CONTENT if prospect.other_content else Why.GONE
        self._finish(entry, DownloadState.FAILED, Gone(str(why)))

    def _begin_ready(self) -> None:
        while not self.stopping:
            with self._lock:
                key = self._turns.next()
                entry = self._active[key] if key is not None else None
            if key is None or entry is None:
                return
            prospect = self._prospects.of(key, entry.name, entry.carried)
            now = time.monotonic()
            with self._lock:
                if self._turns.phase(key) is not TurnPhase.READY or entry.cancelled or self.stopping:
                    continue
                gone = self._takes_in(entry, prospect, now)
                entry.seen = prospect.seen
                if prospect.promising and not gone:
                    self._begin(entry, now)
                else:
                    self._turns.park(key, now)
                self._show_phase(entry)
            if entry.thread is not None:
                entry.thread.start()
                entry.changed.notify()
            elif gone:
                self._everybody_denies(entry, prospect)

    def _begin(self, entry: DownloadEntry, now: float) -> None:
        """The lock is held."""
        node = self._node
        task = entry.task = Task(
            entry.content_id,
            name=node.name,
            directory=node.directory,
            network=node.network,
            exchange=self._exchange,
            capacity=node.capacity,
            limiter=TokenBucket(entry.limit, above=node.limiter),
            manifests=node.manifests,
            carried=entry.carried,
        )
        entry.started = now
        self._turns.begin(entry.content_id, now)
        attempt = DownloadAttempt(node, entry.name, task, entry.trace)
        entry.thread = threading.Thread(
            target=self._attempt, args=(entry, attempt), name=f"download {entry.name[:40]}", daemon=True
        )

    def _show_phase(self, entry: DownloadEntry) -> None:
        """The lock is held."""
        phase = self._turns.phase(entry.content_id)
        if phase is not None and not entry.state.ended:
            shown = {TurnPhase.READY: DownloadState.QUEUED, TurnPhase.PARKED: DownloadState.WAITING}
            entry.state = shown.get(phase, DownloadState.RUNNING)

    # the thread of one that runs

    def _attempt(self, entry: DownloadEntry, attempt: DownloadAttempt) -> None:
        attempt.run(lambda state, error: self._ended(entry, attempt.task, state, error))
        self.worker.wake()

    def _ended(
        self, entry: DownloadEntry, task: Task, state: DownloadState, error: MingaError | None
    ) -> None:
        if state is DownloadState.WAITING:
            self._gave_up(entry, task)
        elif state is DownloadState.CANCELLED and not entry.cancelled:
            # The node stops; the record says that it goes on next time.
            with self._lock:
                entry.keep(task)
                entry.state = DownloadState.QUEUED
        else:
            self._finish(entry, state, error, task)
        if state is DownloadState.COMPLETE:
            # Nobody has to wait for this.
            task.hang_up()

    def _gave_up(self, entry: DownloadEntry, task: Task) -> None:
        now = time.monotonic()
        moves, why = task.signs(now).moves, task.why()
        with self._lock:
            task.heard_of_holders(entry.doubt, now)
            entry.keep(task)
            entry.reason = why
            cancelled = entry.cancelled
            if task.leaving and moves:
                # It would have gone on, and does when others had their turn.
                self._turns.again(entry.content_id)
            else:
                self._turns.park(entry.content_id, now)
            self._show_phase(entry)
        if cancelled:
            self._finish(entry, DownloadState.CANCELLED)

    def _finish(
        self,
        entry: DownloadEntry,
        state: DownloadState,
        error: MingaError | None = None,
        task: Task | None = None,
    ) -> None:
        """The end of a download, whichever it is; the first one counts."""
        with self._lock:
            if entry.state.ended or (task is None and entry.task is not None):
                return
            if task is not None:
                entry.keep(task)
            entry.end(state, error)
            del self._active[entry.content_id]
            self._turns.remove(entry.content_id)
            forgotten = self._on_end(entry)
        if state is DownloadState.CANCELLED:
            self._clear(entry)
        with suppress(MingaError):
            self._records.put(entry.record(), forget=forgotten)
        metrics.DOWNLOADS.labels(str(state)).inc()
        metrics.DOWNLOAD_SECONDS.labels(str(state)).observe(entry.past.seconds)
        if error is not None:
            log.warning("the download of %s failed: %s", entry.name, error)
        elif state is DownloadState.COMPLETE:
            log.info("fetched %s: %d bytes in %.2f s", entry.name, entry.size, entry.past.seconds)
        entry.done.set()
        entry.changed.notify()
        self.worker.wake()
        if isinstance(error, Gone):
            for listener in self.on_gone:
                listener(entry.content_id)

    def _clear(self, entry: DownloadEntry) -> None:
        """Nothing of what nobody wants stays."""
        node = self._node
        with suppress(OSError):
            remove_partial(node.directory, entry.content_id)
        with suppress(MingaError):
            content = node.library(entry.content_id)
            if content is not None:
                content.close()
            elif entry.content_id not in self._active:
                node.manifests.remove([entry.content_id])
