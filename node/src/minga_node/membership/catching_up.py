"""A node that is far behind takes all it lacks in a stream, and applies a part while the next one comes."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress

from minga_node.errors import MingaError
from minga_node.index import Delta

ENOUGH = 50_000
"""Entries that are applied in one transaction, about: half a second of work."""
AHEAD = 5
"""Messages that wait to be applied, at most; each has about 2 MiB."""
LOOK_SECONDS = 0.5

Part = tuple[Delta, ...]


class CatchUp:
    """At most one at a time: two would bring the same.

    Args:
        apply: takes deltas; whether any of them was news.
    """

    def __init__(self, apply: Callable[[Sequence[Delta]], bool]) -> None:
        self._apply = apply
        self._running = threading.Lock()
        self._stop = threading.Event()

    @property
    def running(self) -> bool:
        return self._running.locked()

    def run(self, fetch: Callable[[], Iterable[Part]]) -> bool:
        """Whether anything came. Nothing happens while another one runs.

        Raises:
            MingaError: what ``fetch`` or ``apply`` raise; what came before has been applied.
        """
        if not self._running.acquire(blocking=False):
            return False
        box: queue.Queue[Part | MingaError | None] = queue.Queue(AHEAD)
        ended = threading.Event()
        receiver = threading.Thread(target=_receive, args=(fetch, box, ended), name="catch-up", daemon=True)
        receiver.start()
        try:
            return self._take(box)
        finally:
            ended.set()
            self._running.release()

    def stop(self) -> None:
        self._stop.set()

    def _take(self, box: queue.Queue[Part | MingaError | None]) -> bool:
        came = False
        last: Part | MingaError | None = ()
        while isinstance(last, tuple) and not self._stop.is_set():
            parts: list[Delta] = []
            with suppress(queue.Empty):
                while sum(len(delta.entries) for delta in parts) < ENOUGH:
                    last = box.get(block=not parts, timeout=LOOK_SECONDS)
                    if not isinstance(last, tuple):
                        break
                    parts += last
            if parts:
                if not self._apply(parts):
                    # Whatever it goes on to send, it is not what is lacking.
                    break
                came = True
        if isinstance(last, MingaError):
            raise last
        return came


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
            put(part)
            if ended.is_set():
                return
        put(None)
    except MingaError as error:
        put(error)
