"""Notifications of changes below a directory, but for its hidden folders.

What happens there is never shared, and a node's own is among them: of many small files that are fetched, each
would tell four times of its stay in ``.minga``, which cost more than to receive it.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from watchdog.observers import Observer

if TYPE_CHECKING:
    from watchdog.observers.api import BaseObserver


def make_observer() -> BaseObserver:
    """An observer; elsewhere than on Linux one that tells of hidden folders too, which does no harm."""
    if sys.platform != "linux":
        return Observer()
    from watchdog.observers.api import BaseObserver
    from watchdog.observers.inotify import InotifyEmitter, InotifyWatchGroup

    class VisibleGroup(InotifyWatchGroup):
        def _add_callback(self, path: bytes) -> None:
            below = path[len(self.path) :]
            if not any(part.startswith(b".") for part in below.split(b"/")):
                super()._add_callback(path)

    class VisibleEmitter(InotifyEmitter):
        def on_thread_start(self) -> None:
            self._inotify = VisibleGroup(
                self._inotify_fd,
                os.fsencode(self.watch.path),
                is_recursive=self.watch.is_recursive,
                event_mask=self.get_event_mask_from_filter(),
                follow_symlink=self.watch.follow_symlink,
            )

    return BaseObserver(VisibleEmitter)
