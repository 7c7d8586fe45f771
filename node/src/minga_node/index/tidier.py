"""Takes new rows into the full-text index and the sorted ones, in the background and many at a time."""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Callable

from minga_node.errors import StorageFailed
from minga_node.index import tables
from minga_node.store import Store

log = logging.getLogger(__name__)

NAMES_AT_ONCE = 4_000
"""Names that one transaction takes into the full-text index: some tens of milliseconds."""
ROWS_AT_ONCE = 20_000
"""Rows that one transaction takes into the sorted indices: some tenths of a second."""
FEW = 1_000
"""Rows that are taken in at once; more are likely a catch-up, whose end is worth waiting for."""
QUIET_SECONDS = 2.0
"""A catch-up is over when nothing has come for so long."""
PATIENCE = 300.0
"""Seconds that a catch-up may put the work off."""
PAUSE = 0.1
"""Seconds that new rows wait for others to go with them. They are found all the while."""


class Tidier:
    """One thread; searches look through the rows that it has not reached yet one by one."""

    def __init__(self, store: Store, done: Callable[[], None]) -> None:
        self._store, self._done = store, done
        self._wake = threading.Condition()
        self._behind = True
        self._last = self._since = -PATIENCE
        """When much came last, and since when it has been coming."""
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="index-tidier", daemon=True)
        self._thread.start()

    def wake(self, rows: int) -> None:
        """There is something new."""
        now = time.monotonic()
        with self._wake:
            if rows > FEW:
                if now - self._last > QUIET_SECONDS:
                    self._since = now
                self._last = now
            self._behind = True
            self._wake.notify()

    def close(self) -> None:
        with self._wake:
            self._closed = True
            self._wake.notify()
        self._thread.join(10)

    def _run(self) -> None:
        while self._wait():
            try:
                more = self._some()
                if not more:
                    self._done()
            except (StorageFailed, sqlite3.Error) as error:
                more = False
                log.warning("names wait for the full-text index: %s", error)
            with self._wake:
                self._behind |= more

    def _wait(self) -> bool:
        """Until there is something to do; False at the end."""
        with self._wake:
            while not self._behind and not self._closed:
                self._wake.wait()
                self._wake.wait_for(lambda: self._closed, PAUSE)
            while not self._closed:
                now = time.monotonic()
                if now - self._last >= QUIET_SECONDS or now - self._since >= PATIENCE:
                    break
                self._wake.wait_for(lambda: self._closed, PAUSE)
            self._behind = False
            return not self._closed

    def _some(self) -> bool:
        """One transaction of each kind; whether there is more. Sorted indices first: they are soon made."""
        with self._store.write() as db:
            more = tables.extend_orders(db, ROWS_AT_ONCE)
        if not more:
            with self._store.write() as db:
                more = tables.extend_names(db, NAMES_AT_ONCE)
        return more
