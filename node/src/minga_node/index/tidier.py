"""Takes new rows into the full-text index and the sorted ones, in the background and many at a time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from minga_node.index.log import tables
from minga_node.store import Store
from minga_node.workers import Worker

NAMES_AT_ONCE = 4_000
"""Names that one transaction takes into the full-text index: some tens of milliseconds."""
ROWS_AT_ONCE = 20_000
"""Rows that one transaction takes into the sorted indices: some tenths of a second."""
ROWS_AT_LEAST = 1_000
"""Rows that are taken in at once; more are likely a catch-up, whose end is worth waiting for."""
QUIET_SECONDS = 2.0
"""A catch-up is over when nothing has come for so long."""
PATIENCE = 300.0
"""Seconds that a catch-up may put the work off."""
PAUSE = 0.1
"""Seconds that new rows wait for others to go with them. They are found all the while."""


class Tidier:
    """Takes new rows in by the worker ``index-tidier``. Until then searches look at them one by one."""

    def __init__(self, store: Store, done: Callable[[], None]) -> None:
        self._store, self._done = store, done
        self._lock = threading.Lock()
        self._last = self._since = -PATIENCE
        """When much came last, and since when it has been coming."""
        self._more = True
        """Whether rows are left that it knows of."""
        self.worker = Worker("index-tidier", self._step)
        self.worker.start()

    def wake(self, rows: int) -> None:
        """Tells of so many new rows."""
        now = time.monotonic()
        with self._lock:
            if rows > ROWS_AT_LEAST:
                if now - self._last > QUIET_SECONDS:
                    self._since = now
                self._last = now
        self.worker.wake()

    def close(self) -> None:
        self.worker.stop(10)

    def _step(self) -> float | None:
        """Takes in some; None where there is nothing left."""
        if not self._more and (self.worker.rest(PAUSE) or self._is_coming()):
            return PAUSE
        self._more = self._some()
        if self._more:
            return 0.0
        self._done()
        return None

    def _is_coming(self) -> bool:
        """Whether a catch-up is still under way."""
        now = time.monotonic()
        with self._lock:
            return now - self._last < QUIET_SECONDS and now - self._since < PATIENCE

    def _some(self) -> bool:
        """One transaction of each kind; whether there is more. Sorted indices first: they are soon made."""
        with self._store.write() as db:
            more = tables.extend_orders(db, ROWS_AT_ONCE)
        if not more:
            with self._store.write() as db:
                more = tables.extend_names(db, NAMES_AT_ONCE)
        return more
