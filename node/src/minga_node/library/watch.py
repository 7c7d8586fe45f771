"""Brings into the library what anyone does to its directory: by notification, and by regular looks."""

from __future__ import annotations

import logging
import os
import queue
import threading
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from watchdog.events import (
    DirCreatedEvent,
    DirDeletedEvent,
    DirMovedEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)

from minga_node.disk import disk_errors
from minga_node.errors import MingaError
from minga_node.library.library import Library
from minga_node.library.observing import make_observer
from minga_node.library.scan import Found, Signature, look, walk
from minga_node.names import is_shareable

log = logging.getLogger(__name__)

# Opening and reading are no news. Nor is each write, but its end is: downloads write a lot, and their partial
# files lie below the directory too.
EVENTS: list[type[FileSystemEvent]] = [
    DirCreatedEvent,
    DirDeletedEvent,
    DirMovedEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileMovedEvent,
]
MANY = 256
"""With more changes than this at once, one look at everything is cheaper."""


class Watcher:
    """One thread that decides, a few that hash. A file is shared once it has been quiet for a while."""

    def __init__(self, library: Library, quiet_seconds: float, rescan_seconds: float) -> None:
        self._library = library
        self._directory = library.directory
        self._quiet = quiet_seconds
        self._rescan = rescan_seconds
        self._inbox: queue.SimpleQueue[str | tuple[Found, str | None] | None] = queue.SimpleQueue()
        self._pending: dict[str, tuple[Found, float]] = {}
        self._hashing: dict[str, Signature] = {}
        self._failed: set[str] = set()
        self._pool = ThreadPoolExecutor(os.cpu_count() or 2, thread_name_prefix="hash")
        self._thread = threading.Thread(target=self._run, name="library", daemon=True)
        self._observer = make_observer()
        self._stopping = threading.Event()
        self._settled = threading.Event()
        self._looked = threading.Event()

    def start(self) -> None:
        """Begins to watch, then looks at everything once."""
        handler = _Handler(self._directory, self._inbox)
        try:
            self._observer.schedule(handler, str(self._directory), recursive=True, event_filter=EVENTS)
            self._observer.start()
        except OSError as error:
            log.warning("no notifications of changes (%s): looking every %g s", error, self._rescan)
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._inbox.put(None)
        self._thread.join()
        if self._observer.is_alive():
            self._observer.stop()
            self._observer.join(2)
        self._pool.shutdown(wait=False, cancel_futures=True)

    def looked(self) -> bool:
        """Whether all that was in the directory at the start is shared."""
        return self._looked.is_set()

    def wait_settled(self, timeout: float) -> bool:
        """Waits until everything seen so far is shared."""
        return self._settled.wait(timeout)

    def _run(self) -> None:
        next_scan = time.monotonic()
        problem = ""
        while not self._stopping.is_set():
            try:
                if time.monotonic() >= next_scan:
                    started = time.monotonic()
                    self._look_at_all()
                    # A huge directory must not keep a core busy with looking at it.
                    now = time.monotonic()
                    next_scan = now + max(self._rescan, 20 * (now - started))
                self._hash_the_quiet()
                self._wait_for_news(next_scan)
                problem = ""
            except MingaError as error:
                if str(error) != problem:
                    problem = str(error)
                    log.error("the library could not be brought up to date: %s", problem)
                self._stopping.wait(1)

    def _wait_for_news(self, next_scan: float) -> None:
        now = time.monotonic()
        deadline = min([next_scan, *(due for _, due in self._pending.values())])
        if not self._pending and not self._hashing and self._inbox.empty():
            self._settled.set()
            self._looked.set()
        try:
            news = [self._inbox.get(timeout=max(0.0, deadline - now))]
        except queue.Empty:
            return
        while len(news) < 10_000 and not self._inbox.empty():
            news.append(self._inbox.get())
        dirty = {item for item in news if isinstance(item, str)}
        hashed = [item for item in news if isinstance(item, tuple)]
        if dirty:
            self._settled.clear()
            self._look_at(dirty)
        if hashed:
            self._share(hashed)

    def _look_at_all(self) -> None:
        # An unmounted volume is not a library whose files were all deleted.
        with disk_errors(str(self._directory)):
            os.scandir(self._directory).close()
        found = {item.name: item for item in walk(self._directory)}
        known = self._library.signatures()
        self._consider(found.values(), known)
        self._pending = {name: item for name, item in self._pending.items() if name in found}
        self._library_without((known.keys() | self._library.published()) - found.keys())
        self._library.tidy()

    def _look_at(self, dirty: set[str]) -> None:
        if len(dirty) > MANY:
            self._look_at_all()
            return
        known = self._library.signatures()
        for name in dirty:
            path = self._directory / name
            if path.is_dir() and not path.is_symlink():
                self._consider(walk(self._directory, name), known)
            elif (found := look(self._directory, name)) is not None:
                self._consider([found], known)
            else:
                self._pending.pop(name, None)
                below = name + "/"
                self._library_without({n for n in known if n == name or n.startswith(below)})

    def _library_without(self, names: set[str]) -> None:
        # What was put in since the look began is not gone.
        gone = [name for name in names if look(self._directory, name) is None]
        if gone:
            self._library.forget(gone)
            log.info("%s", f"{gone[0]} is gone" if len(gone) == 1 else f"{len(gone)} files are gone")

    def _consider(self, files: Iterable[Found], known: dict[str, Signature]) -> None:
        now, clock = time.monotonic(), time.time()
        at_once: list[tuple[Found, str]] = []
        for found in files:
            if known.get(found.name) == found.signature:
                self._pending.pop(found.name, None)
                continue
            if self._hashing.get(found.name) == found.signature:
                continue
            earlier = self._pending.get(found.name)
            if earlier is not None and earlier[0].signature == found.signature:
                continue
            if (identity := self._library.known(found)) is not None:
                self._pending.pop(found.name, None)
                at_once.append((found, identity))
                continue
            # The system's own time of change, unless its clock is ahead of ours (a file server's may be).
            age = clock - found.changed
            self._pending[found.name] = (found, now + max(0.0, min(self._quiet, self._quiet - age)))
            self._settled.clear()
        if at_once:
            self._announce(at_once)

    def _hash_the_quiet(self) -> None:
        now = time.monotonic()
        due = [name for name, (_, when) in self._pending.items() if when <= now]
        for name in due:
            found, _ = self._pending.pop(name)
            again = look(self._directory, name)
            if again is None:
                continue
            if again.signature != found.signature:
                self._pending[name] = (again, now + self._quiet)
                continue
            self._hashing[name] = again.signature
            self._pool.submit(self._hash, again)

    def _hash(self, found: Found) -> None:
        identity: str | None = None
        try:
            identity = self._library.hash(found)
        except MingaError as error:
            # Once a file, not once a rescan.
            if found.name not in self._failed:
                self._failed.add(found.name)
                log.warning("not shared: %s", error)
        finally:
            self._inbox.put((found, identity))

    def _share(self, hashed: list[tuple[Found, str | None]]) -> None:
        good: list[tuple[Found, str]] = []
        for found, identity in hashed:
            if self._hashing.get(found.name) == found.signature:
                del self._hashing[found.name]
            again = look(self._directory, found.name)
            if again is None:
                continue
            if identity is not None and again.signature == found.signature:
                good.append((found, identity))
                self._failed.discard(found.name)
            elif again.signature != found.signature:
                self._consider([again], self._library.signatures())
        if good:
            self._announce(good)

    def _announce(self, files: list[tuple[Found, str]]) -> None:
        self._library.share(files)
        log.info(
            "%s", f"{files[0][0].name} is shared" if len(files) == 1 else f"{len(files)} files are shared"
        )


class _Handler(FileSystemEventHandler):
    def __init__(
        self, directory: Path, inbox: queue.SimpleQueue[str | tuple[Found, str | None] | None]
    ) -> None:
        self._prefix = str(directory).rstrip("/") + "/"
        self._inbox = inbox

    def on_any_event(self, event: FileSystemEvent) -> None:
        # A folder that changed only says that something in it did, which has an event of its own.
        if event.is_directory and event.event_type == "modified":
            return
        for path in (os.fsdecode(event.src_path), os.fsdecode(event.dest_path)):
            name = path.removeprefix(self._prefix)
            if name != path and is_shareable(name):
                self._inbox.put(name)
