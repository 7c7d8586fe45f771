"""A node that is far behind takes all it lacks in a stream, and applies a part while the next one comes."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace

from minga_node.errors import MingaError
from minga_node.index import Delta, Entries

ENOUGH = 50_000
"""Entries that are applied in one transaction, about: half a second of work."""
TOO_MANY = 100_000
"""Entries that wait for their log's signature; what is longer is taken in parts, unproven till its end."""
AHEAD = 5
"""Messages that wait to be applied, at most; each has about 2 MiB."""
LOOK_SECONDS = 0.5

Part = tuple[Delta, ...]
Apply = Callable[[Sequence[Delta], bool], bool]


class CatchUp:
    """At most one at a time: two would bring the same."""

    def __init__(self) -> None:
        self._running = threading.Lock()
        self._stop = threading.Event()

    @property
    def running(self) -> bool:
        return self._running.locked()

    def run(self, fetch: Callable[[], Iterable[Part]], apply: Apply) -> bool | None:
        """Whether anything came; None while another one runs.

        Args:
            fetch: the stream.
            apply: takes deltas, and whether the last is the middle of a log; whether any of them was news.

        Raises:
            MingaError: what ``fetch`` or ``apply`` raise; what came before has been applied.
        """
        if not self._running.acquire(blocking=False):
            return None
        box: queue.Queue[Part | MingaError | None] = queue.Queue(AHEAD)
        ended = threading.Event()
        receiver = threading.Thread(target=_receive, args=(fetch, box, ended), name="catch-up", daemon=True)
        receiver.start()
        try:
            return self._take(box, apply)
        finally:
            ended.set()
            self._running.release()

    def stop(self) -> None:
        self._stop.set()

    def _take(self, box: queue.Queue[Part | MingaError | None], apply: Apply) -> bool:
        came = False
        last: Part | MingaError | None = ()
        while isinstance(last, tuple) and not self._stop.is_set():
            parts: list[Delta] = []
            count = 0
            with suppress(queue.Empty):
                while count < TOO_MANY:
                    whole = not parts or bool(parts[-1].signature)
                    if whole and count >= ENOUGH:
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

    def _next(self, box: queue.Queue[Part | MingaError | None], *, wait: bool) -> Part | MingaError | None:
        """Raises queue.Empty where there is nothing yet, when asked not to wait, or when it is to end."""
        while True:
            try:
                return box.get(block=wait, timeout=LOOK_SECONDS)
            except queue.Empty:
                if not wait or self._stop.is_set():
                    raise


def _receive(
    fetch: Callable[[], Iterable[Part]], box: queue.Queue[Part | MingaError | None], ended: threading.Event
) -> None:
    def put(what: Part | MingaError | None) -> None:
        while not ended.is_set():
            try:
                box.put(what, timeout=LOOK_SECONDS)
            except queue.Full:
                continue
            return

    try:
        for part in fetch():
            put(tuple(map(_prepared, part)))
            if ended.is_set():
                return
        put(None)
    except MingaError as error:
        put(error)


def _prepared(delta: Delta) -> Delta:
    """With what can be computed before it is applied, while SQLite writes what came earlier."""
    entries = Entries.of(delta.entries)
    entries.prepare()
    return replace(delta, entries=entries)
