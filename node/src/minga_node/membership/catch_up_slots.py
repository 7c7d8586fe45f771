"""The streams by which this node brings others up to date: few at once, and none that holds up the others."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from minga_node.errors import Busy
from minga_node.membership.stream_rate import StreamRate

log = logging.getLogger(__name__)

STREAMS = 4
"""Nodes that this one brings up to date at once, at most."""


class CatchUpSlots:
    """Places for streams. Who reads slowly keeps its place only until somebody else wants it, so a slow link
    is served as long as it costs nobody anything. Thread-safe.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: dict[StreamRate, tuple[str, Callable[[], object]]] = {}

    @contextmanager
    def place(self, reader: str, cancel: Callable[[], object]) -> Iterator[StreamRate]:
        """A place, until the end of the block; the pace is to be told of what goes out.

        Args:
            reader: the node that reads; it has one place at most.
            cancel: ends the stream from another thread.

        Raises:
            Busy: enough others are being served, and none of them is slow.
        """
        pace = StreamRate()
        with self._lock:
            own = [other for other, (who, _) in self._running.items() if who == reader]
            if own or len(self._running) >= STREAMS:
                self._make_room(own or list(self._running))
            self._running[pace] = reader, cancel
        try:
            yield pace
        finally:
            with self._lock:
                self._running.pop(pace, None)

    def _make_room(self, streams: Iterable[StreamRate]) -> None:
        slow = min((pace for pace in streams if pace.slow), key=lambda pace: pace.rate, default=None)
        if slow is None:
            raise Busy("enough nodes are catching up here")
        reader, cancel = self._running.pop(slow)
        log.info("%s takes what it lacks too slowly: makes room for another one", reader)
        cancel()
