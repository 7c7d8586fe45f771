"""Brings into the library what anyone does to its directory: by notification, and by regular looks."""

from __future__ import annotations

import logging
import os
import queue
import threading
import time
from collections import deque
from collections.abc import Iterable, Mapping

from minga_node.errors import InvalidName, MingaError
from minga_node.library.hashing import Hashing
from minga_node.library.holdings import NOBODY, Moved
from minga_node.library.library import Library
from minga_node.library.observing import Observing
from minga_node.library.root import OpenRoot
from minga_node.library.scan import FoundFile, Signature, is_folder, look, walk
from minga_node.library.volumes import below
from minga_node.names import check_name
from minga_node.workers import Worker

log = logging.getLogger(__name__)

MANY = 256
"""With more changes than this at once, one look at everything is cheaper."""
STOP_SECONDS = 5.0
AWAY_SECONDS = 1.0
"""Between two looks whether the directory is back."""


class Watcher:
    """One thread that decides, a few that hash. A file is shared once it has been quiet for a while.

    Whatever one file does, the others go on: it is named in the library's troubles.
    """

    def __init__(self, library: Library, quiet_seconds: float, rescan_seconds: float) -> None:
        self._library = library
        self._quiet = quiet_seconds
        self._rescan = rescan_seconds
        self._inbox: queue.SimpleQueue[frozenset[str] | tuple[FoundFile, str | None] | None] = (
            queue.SimpleQueue()
        )
        self._pending: dict[str, tuple[FoundFile, float]] = {}
        self._doubtful: deque[FoundFile] = deque()
        """Shared by what was hashed earlier, but not for sure: hashed when there is nothing else to do."""
        self._hashing = Hashing(library, self._inbox.put)
        # It waits for news within its step, so no step is too long.
        self.worker = Worker(
            "library", self._step, interval=0.0, stuck_after=None, longest_pause=AWAY_SECONDS
        )
        self._observing = Observing(library.root.path, self._inbox.put, rescan_seconds)
        self._settled = threading.Event()
        self._looked = threading.Event()
        self._next_scan = 0.0
        self._problem = ""

    def start(self) -> None:
        """Begins to watch, then looks at everything once."""
        self._observing.start()
        self.worker.start()

    def stop(self) -> None:
        self.worker.stopping.set()
        self._inbox.put(None)
        self.worker.stop(STOP_SECONDS)
        self._observing.stop()
        self._hashing.stop()

    def looked(self) -> bool:
        """Whether all that was in the directory at the start is shared."""
        return self._looked.is_set()

    def wait_settled(self, timeout: float) -> bool:
        """Waits until everything seen so far is shared."""
        return self._settled.wait(timeout)

    def _step(self) -> None:
        try:
            self._turn()
        except Exception as error:
            self._problem = str(error) or type(error).__name__
            # What was to be done is found by the next look at everything.
            self._next_scan = 0.0
            raise

    def _turn(self) -> None:
        if time.monotonic() >= self._next_scan:
            started = time.monotonic()
            self._look_at_all()
            # A huge directory must not keep a core busy with looking at it.
            now = time.monotonic()
            self._next_scan = now + max(self._rescan, 20 * (now - started))
        self._hash_the_quiet()
        self._hash_the_doubtful()
        if self._problem:
            self._problem = ""
            return
        self._wait_for_news()

    def _wait_for_news(self) -> None:
        now = time.monotonic()
        deadline = min([self._next_scan, *(due for _, due in self._pending.values())])
        if not self._pending and not self._hashing and self._inbox.empty():
            self._settled.set()
            self._looked.set()
        try:
            news = [self._inbox.get(timeout=max(0.0, deadline - now))]
        except queue.Empty:
            return
        while len(news) < 10_000 and not self._inbox.empty():
            news.append(self._inbox.get())
        dirty = {name for item in news if isinstance(item, frozenset) for name in item}
        hashed = [item for item in news if isinstance(item, tuple)]
        if hashed:
            self._share(hashed)
        if dirty:
            self._settled.clear()
            self._look_at(dirty)

    # looks

    def _look_at_all(self) -> None:
        # A volume that was unmounted is not a library whose files were all deleted.
        with self._library.root.open() as root:
            if self._problem:
                self._observing.restart()
            unshareable: set[str] = set()
            volumes: dict[str, int] = {}
            everything = walk(root, unshareable=unshareable.add, volume=volumes.__setitem__)
            found = {item.name: item for item in everything}
            self._library.volumes.seen(volumes)
            found = self._without_bare(root, found)
        self._library.troubles.names.keep_only(unshareable)
        for name in unshareable:
            self._note_name(name)
        self._library.troubles.files.keep_only(found.keys() | self._library.signatures().keys())
        self._library.on_devices({item.signature.device for item in found.values()})
        known = self._library.signatures()
        missing = (known.keys() | self._library.published()) - found.keys()
        self._pending = {name: item for name, item in self._pending.items() if name in found}
        self._take_over(found.values(), known, missing)
        self._library.tidy()

    def _look_at(self, dirty: set[str]) -> None:
        if len(dirty) > MANY:
            self._look_at_all()
            return
        known = self._library.signatures()
        found: dict[str, FoundFile] = {}
        missing: set[str] = set()
        with self._library.root.open() as root:
            for name in dirty:
                if not self._note_name(name, root):
                    continue
                if is_folder(root, name):
                    found.update((item.name, item) for item in walk(root, name))
                elif (item := look(root, name)) is not None:
                    found[name] = item
                    continue
                if name in known:
                    missing.add(name)
                else:
                    missing |= {n for n in known if n.startswith(name + "/")}
            found = self._without_bare(root, found)
        missing -= found.keys()
        for name in missing | dirty - found.keys():
            self._pending.pop(name, None)
        self._take_over(found.values(), known, missing)

    def _without_bare(self, root: OpenRoot, found: dict[str, FoundFile]) -> dict[str, FoundFile]:
        """Without what lies where a volume is to be mounted, and is covered by it then."""
        away = self._library.volumes.away(root)
        if not away:
            return found
        return {name: item for name, item in found.items() if not below(name, away)}

    def _note_name(self, name: str, root: OpenRoot | None = None) -> bool:
        """Whether a name can be shared; one that cannot is noted, unless nothing has it any more."""
        try:
            check_name(name)
        except InvalidName as error:
            if root is None or os.path.lexists(root.path / name):
                self._library.troubles.names.add(name, str(error))
            else:
                self._library.troubles.names.discard(name)
            return False
        return True

    def _take_over(
        self, found: Iterable[FoundFile], known: Mapping[str, Signature], missing: set[str]
    ) -> None:
        """Files that are there, and names that are not there any more."""
        # In this order, so that a file that was renamed always has one of its names.
        self._consider(found, known, self._library.leaving(missing))
        gone = self._library.forget_missing(missing)
        if gone:
            log.info("%s", f"{gone[0]} is gone" if len(gone) == 1 else f"{len(gone)} files are gone")

    def _consider(
        self,
        files: Iterable[FoundFile],
        known: Mapping[str, Signature],
        leaving: Mapping[Moved, tuple[int, str]] = NOBODY,
    ) -> None:
        now, clock = time.monotonic(), time.time()
        at_once: list[tuple[FoundFile, str]] = []
        doubtful: list[tuple[FoundFile, str]] = []
        for found in files:
            if known.get(found.name) == found.signature:
                self._pending.pop(found.name, None)
                self._library.troubles.files.discard(found.name)
                continue
            if self._hashing.has(found):
                continue
            earlier = self._pending.get(found.name)
            if earlier is not None and earlier[0].signature == found.signature:
                continue
            try:
                hashed = self._library.known(found, leaving)
            except MingaError:
                raise
            except Exception as error:  # noqa: BLE001 (whatever it is, it is about this file)
                self._library.troubles.files.add(found.name, f"{type(error).__name__}: {error}")
                continue
            if hashed is not None:
                self._pending.pop(found.name, None)
                (at_once if hashed.certain else doubtful).append((found, hashed.id))
                continue
            # The system's own time of change, unless its clock is ahead of ours (a file server's may be).
            age = clock - found.changed
            self._pending[found.name] = (found, now + max(0.0, min(self._quiet, self._quiet - age)))
            self._settled.clear()
        self._announce(at_once)
        self._announce(doubtful, certain=False)
        self._doubtful.extend(found for found, _ in doubtful)

    # hashing

    def _hash_the_quiet(self) -> None:
        now = time.monotonic()
        due = [name for name, (_, when) in self._pending.items() if when <= now]
        if not due:
            return
        with self._library.root.open() as root:
            for name in due:
                found, _ = self._pending.pop(name)
                again = look(root, name)
                # One that was fetched or put is shared by who did it, perhaps long after it was seen first.
                if again is None or self._library.signature(name) == again.signature:
                    continue
                if again.signature != found.signature:
                    self._pending[name] = (again, now + self._quiet)
                    continue
                self._hashing.begin(again)

    def _hash_the_doubtful(self) -> None:
        while self._doubtful and not self._hashing:
            found = self._doubtful.popleft()
            if self._library.signatures().get(found.name) == found.signature:
                self._hashing.begin(found)

    def _share(self, hashed: list[tuple[FoundFile, str | None]]) -> None:
        good: list[tuple[FoundFile, str]] = []
        changed: list[FoundFile] = []
        for found, _ in hashed:
            self._hashing.ended(found)
        with self._library.root.open() as root:
            for found, identity in hashed:
                again = look(root, found.name)
                if again is None:
                    continue
                if identity is not None and again.signature == found.signature:
                    good.append((found, identity))
                    self._library.troubles.files.discard(found.name)
                elif again.signature != found.signature:
                    changed.append(again)
        if changed:
            self._consider(changed, self._library.signatures())
        self._announce(good)

    def _announce(self, files: list[tuple[FoundFile, str]], *, certain: bool = True) -> None:
        if not files:
            return
        try:
            self._library.share(files, certain=certain)
        except MingaError:
            raise
        except Exception as error:  # noqa: BLE001 (whatever it is, it is about one of these files)
            if len(files) == 1:
                self._library.troubles.files.add(files[0][0].name, f"{type(error).__name__}: {error}")
                return
            half = len(files) // 2
            self._announce(files[:half], certain=certain)
            self._announce(files[half:], certain=certain)
            return
        log.info(
            "%s", f"{files[0][0].name} is shared" if len(files) == 1 else f"{len(files)} files are shared"
        )
