"""SHA-256 of whole contents, which the rest of the world goes by: computed when there is nothing else to do.

Nothing waits for it. One thread of the lowest priority works, only while nothing is sent or fetched, and what
it found is kept by content id, so a content is read once, whatever its names.
"""

from __future__ import annotations

import hashlib
import logging
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice

from minga_node.library.catalogue import OpenFile
from minga_node.library.library import Library
from minga_node.model import LocalFile
from minga_node.store import Store
from minga_node.workers import Worker

log = logging.getLogger(__name__)

SCHEMA = ("CREATE TABLE sha256 (id BLOB PRIMARY KEY, digest BLOB NOT NULL) WITHOUT ROWID;",)
READ = 1024 * 1024
GROUP = 500
"""Digests that are written together."""
NEWEST = 10_000
"""Files that are remembered as new; with more, the whole library is looked through."""
QUIET_SECONDS = 3.0
"""How long nothing must have been sent or fetched."""


class Digests:
    """Known digests, and the thread that finds more of them.

    Args:
        busy: whether something is sent or fetched just now.
    """

    def __init__(self, store: Store, library: Library, busy: Callable[[], bool]) -> None:
        self._store, self._library, self._busy = store, library, busy
        store.migrate("sha256", SCHEMA)
        self._new: deque[str] = deque(maxlen=NEWEST)
        self._overflow = True
        # A file of terabytes takes hours.
        self.worker = Worker("sha256", self._look, stuck_after=None)
        self._lowered = False

    def start(self) -> None:
        """Begins with what is in the library, and goes on with what comes."""
        self._library.on_shared.append(self._add)
        self.worker.start()

    def stop(self) -> None:
        self.worker.stop(5.0)

    def known(self, ids: Iterable[str]) -> dict[str, str]:
        """The digests of these contents, as far as they are known, 64 hex digits each."""
        found: dict[str, str] = {}
        wanted = iter(dict.fromkeys(ids))
        while some := [bytes.fromhex(identity) for identity in islice(wanted, GROUP)]:
            marks = ",".join("?" * len(some))
            rows = self._store.rows(f"SELECT id, digest FROM sha256 WHERE id IN ({marks})", some)
            found.update((identity.hex(), digest.hex()) for identity, digest in rows)
        return found

    def _add(self, files: Sequence[LocalFile]) -> None:
        self._overflow |= len(self._new) + len(files) > NEWEST
        self._new.extend(file.id for file in files)
        self.worker.wake()

    def _look(self) -> None:
        # Only Linux gives each thread a priority of its own.
        if not self._lowered and hasattr(os, "setpriority"):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 19)
            self._lowered = True
        try:
            for group in self._unknown():
                self._find(group)
        except Exception:
            # What was taken off the list is found again in the library.
            self._overflow = True
            raise

    def _unknown(self) -> Iterator[list[str]]:
        """Contents of the library whose digest is to be found, some at a time."""
        if self._overflow:
            self._overflow = False
            candidates = iter([file.id for file in self._library.files()])
        else:
            candidates = iter([self._new.popleft() for _ in range(len(self._new))])
        while some := list(islice(candidates, GROUP)):
            known = self.known(some)
            yield [identity for identity in dict.fromkeys(some) if identity not in known]

    def _find(self, ids: Sequence[str]) -> None:
        found: list[tuple[bytes, bytes]] = []
        for identity in ids:
            while self._busy() and not self.worker.rest(QUIET_SECONDS):
                pass
            opened = self._library.open_id(identity)
            if opened is not None and (digest := self._read(opened)) is not None:
                found.append((bytes.fromhex(identity), digest))
            if self.worker.stopping.is_set():
                break
        with self._store.write() as db:
            db.executemany("INSERT OR REPLACE INTO sha256 VALUES (?, ?)", found)

    def _read(self, opened: OpenFile) -> bytes | None:
        """The digest of all bytes; ``None`` if they are not all there, or the node ends."""
        hasher, count = hashlib.sha256(), 0
        with opened.stream as stream:
            try:
                before = os.fstat(stream.fileno()).st_mtime_ns
                while chunk := stream.read(READ):
                    hasher.update(chunk)
                    count += len(chunk)
                    while self._busy() and not self.worker.rest(QUIET_SECONDS):
                        pass
                    if self.worker.stopping.is_set():
                        return None
                # Changed meanwhile, the content is not the one that the id says.
                same = os.fstat(stream.fileno()).st_mtime_ns == before
            except OSError as error:
                log.debug("SHA-256 of %s: %s", opened.file.name, error)
                return None
        return hasher.digest() if same and count == opened.file.size else None
