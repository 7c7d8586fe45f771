"""A node that is far behind takes all it lacks in a stream, and applies a part while the next one comes."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from math import inf

from minga_node.errors import MingaError
from minga_node.index import Delta, Entries
from minga_node.index.log import wire_bytes
from minga_node.membership.messages import DeltaStream
from minga_node.membership.stream_rate import StreamRate

log = logging.getLogger(__name__)

TRANSACTION_ENTRIES = 50_000
"""Entries that are applied in one transaction, about: half a second of work."""
MOST_WAITING_ENTRIES = 100_000
"""Entries that wait for their log's signature; what is longer is taken in parts, unproven till its end."""
AHEAD = 5
"""Messages that wait to be applied, at most; each has about 2 MiB."""
LOOK_SECONDS = 0.5

GIVE_WAY_SECONDS = 2.0
"""How long a caller waits for a slow stream to end, at most. The next round with its peer tries again."""
SLOW_SECONDS = 60.0
"""How long a peer is not asked for a stream, after it was slow and others had the same."""

Part = tuple[Delta, ...]
Apply = Callable[[Sequence[Delta], bool], bool]
Box = queue.Queue[Part | MingaError | None]


@dataclass(frozen=True, slots=True)
class _Running:
    giver: str
    stream: DeltaStream
    pace: StreamRate
    cut: threading.Event


class CatchUp:
    """The stream by which this node gets what it lacks: one at a time, since two would bring the same.

    A slow stream gives way to a stream from another peer.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._busy = threading.Lock()
        self._running: _Running | None = None
        self._slow: dict[str, float] = {}
        """Until when peers that were slow are not asked."""
        self._stop = threading.Event()

    @property
    def running(self) -> bool:
        return self._busy.locked()

    def run(self, giver: str, fetch: Callable[[], DeltaStream], apply: Apply) -> bool | None:
        """Whether anything came; None where there is no stream: another one runs, or this peer was slow.

        Args:
            giver: the peer's id.
            fetch: begins the stream.
            apply: takes deltas, and whether the last is the middle of a log; whether any of them was news.

        Raises:
            MingaError: what ``fetch`` or ``apply`` raise; what came before has been applied.
        """
        if self._slow.get(giver, -inf) > self._clock() or not self._begin(giver):
            return None
        cut, ended = threading.Event(), threading.Event()
        box: Box = queue.Queue(AHEAD)
        try:
            stream = fetch()
            self._running = running = _Running(giver, stream, StreamRate(self._clock), cut)
            receiver = threading.Thread(
                target=_receive, args=(running, box, ended), name="catch-up", daemon=True
            )
            receiver.start()
            try:
                return self._take(box, apply, cut)
            finally:
                ended.set()
                stream.cancel()
        finally:
            self._running = None
            self._busy.release()

    def _begin(self, giver: str) -> bool:
        if self._busy.acquire(blocking=False):
            return True
        running = self._running
        if running is None or running.giver == giver or not running.pace.slow:
            return False
        log.info("%s brings what is lacking too slowly: %s is asked instead", running.giver, giver)
        now = self._clock()
        self._slow = {id_: until for id_, until in self._slow.items() if until > now}
        self._slow[running.giver] = now + SLOW_SECONDS
        running.cut.set()
        running.stream.cancel()
        return self._busy.acquire(timeout=GIVE_WAY_SECONDS)

    def stop(self) -> None:
        self._stop.set()
        running = self._running
        if running is not None:
            running.stream.cancel()

    def _take(self, box: Box, apply: Apply, cut: threading.Event) -> bool:
        came = False
        last: Part | MingaError | None = ()
        while isinstance(last, tuple) and not self._stop.is_set() and not cut.is_set():
            parts: list[Delta] = []
            count = 0
            with suppress(queue.Empty):
                while count < MOST_WAITING_ENTRIES:
                    whole = not parts or bool(parts[-1].signature)
                    if whole and count >= TRANSACTION_ENTRIES:
                        break
                    # Before the end of a log there is nothing to compare it with.
                    last = self._next(box, wait=not parts or not whole)
                    if not isinstance(last, tuple):
                        break
                    parts += last
                    count += sum(len(delta.entries) for delta in last)
            if parts:
                if not apply(parts, isinstance(last, tuple) and not parts[-1].signature):
                    # Whatever it goes on to send, it is not what is lacking.
                    break
                came = True
        if isinstance(last, MingaError):
            raise last
        return came

    def _next(self, box: Box, *, wait: bool) -> Part | MingaError | None:
        """The next message. Raises queue.Empty at the end, and where the caller does not wait for one."""
        while True:
            try:
                return box.get(block=wait, timeout=LOOK_SECONDS)
            except queue.Empty:
                if not wait or self._stop.is_set():
                    raise


def _receive(running: _Running, box: Box, ended: threading.Event) -> None:
    def put(what: Part | MingaError | None) -> None:
        while not ended.is_set():
            try:
                box.put(what, timeout=LOOK_SECONDS)
            except queue.Full:
                continue
            return

    pace = running.pace
    try:
        pace.wait()
        for part in running.stream:
            pace.went_on(sum(map(wire_bytes, part)))
            put(tuple(map(_prepared, part)))
            if ended.is_set():
                return
            pace.wait()
        put(None)
    except MingaError as error:
        put(error)


def _prepared(delta: Delta) -> Delta:
    """With what can be computed before it is applied, while SQLite writes what came earlier."""
    entries = Entries.of(delta.entries)
    entries.prepare()
    return replace(delta, entries=entries)
