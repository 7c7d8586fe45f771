"""Notifications of changes below a directory, but for its hidden folders.

What happens there is never shared, and a node's own is among them: of many small files that are fetched, each
would tell four times of its stay in ``.minga``, which cost more than to receive it.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from watchdog.events import (
    DirCreatedEvent,
    DirDeletedEvent,
    DirMovedEvent,
    FileAttribEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer

from minga_node.names import is_hidden

if TYPE_CHECKING:
    from watchdog.observers.api import BaseObserver

log = logging.getLogger(__name__)

# Opening and reading are no news, but the x bit is. Nor is each write, but its end is: downloads write a lot,
# and their partial files lie below the directory too.
EVENTS: list[type[FileSystemEvent]] = [
    DirCreatedEvent,
    DirDeletedEvent,
    DirMovedEvent,
    FileAttribEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileMovedEvent,
]


class Observing:
    """Tells of names below the directory that may have changed.

    Args:
        tell: called with the names of one event, two for a rename.
        rescan: seconds between the looks that find what no event tells.
    """

    def __init__(self, directory: Path, tell: Callable[[frozenset[str]], object], rescan: float) -> None:
        self._directory, self._tell, self._rescan = directory, tell, rescan
        self._observer: BaseObserver | None = None
        self._warned = False

    def start(self) -> None:
        observer = make_observer(self._unwatched)
        handler = _Handler(self._directory, self._tell)
        try:
            observer.schedule(handler, str(self._directory), recursive=True, event_filter=EVENTS)
            observer.start()
        except OSError as error:
            log.warning("no notifications of changes (%s): looking every %g s", error, self._rescan)
            return
        self._observer = observer

    def restart(self) -> None:
        """After the directory was away: what was watched is another one by now."""
        self.stop()
        self.start()

    def stop(self) -> None:
        observer, self._observer = self._observer, None
        if observer is not None and observer.is_alive():
            observer.stop()
            observer.join(2)

    def _unwatched(self, path: bytes) -> None:
        if not self._warned:
            self._warned = True
            log.warning(
                "not every folder can be watched, %r among them (is fs.inotify.max_user_watches reached?): "
                "changes there are found by looking every %g s",
                os.fsdecode(path),
                self._rescan,
            )


def make_observer(unwatched: Callable[[bytes], object]) -> BaseObserver:
    """An observer; elsewhere than on Linux one that tells of hidden folders too, which does no harm.

    ``unwatched`` is called with folders that no notifications come of.
    """
    if sys.platform != "linux":
        return Observer()
    from watchdog.observers.api import BaseObserver
    from watchdog.observers.inotify import InotifyEmitter, InotifyWatchGroup
    from watchdog.observers.inotify_c import InotifyConstants, Mask

    class VisibleGroup(InotifyWatchGroup):
        def _add_callback(self, path: bytes) -> None:
            below = path[len(self.path) :]
            if not any(part.startswith(b".") for part in below.split(b"/")):
                super()._add_callback(path)
                if path not in self._active_callbacks_by_path and Path(os.fsdecode(path)).is_dir():
                    unwatched(path)

    class VisibleEmitter(InotifyEmitter):
        def on_thread_start(self) -> None:
            self._inotify = VisibleGroup(
                self._inotify_fd,
                os.fsencode(self.watch.path),
                is_recursive=self.watch.is_recursive,
                # The filter's mask has no attributes of files.
                event_mask=Mask(self.get_event_mask_from_filter() | InotifyConstants.IN_ATTRIB),
                follow_symlink=self.watch.follow_symlink,
            )

    return BaseObserver(VisibleEmitter)


class _Handler(FileSystemEventHandler):
    def __init__(self, directory: Path, tell: Callable[[frozenset[str]], object]) -> None:
        self._prefix = str(directory).rstrip("/") + "/"
        self._tell = tell

    def on_any_event(self, event: FileSystemEvent) -> None:
        # A folder that changed only says that something in it did, which has an event of its own.
        if event.is_directory and event.event_type == "modified":
            return
        paths = (os.fsdecode(event.src_path), os.fsdecode(event.dest_path))
        below = {path.removeprefix(self._prefix) for path in paths if path.startswith(self._prefix)}
        names = frozenset(name for name in below if name and not is_hidden(name))
        if names:
            self._tell(names)
