"""Volumes that are mounted below the directory: one that was unmounted has not lost its files."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Mapping

from minga_node.errors import DirectoryAway
from minga_node.library.root import OpenRoot
from minga_node.library.scan import GONE, LOOK


class MountedVolumes:
    """Those that were seen since the start, by the folder where each was. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._devices: dict[str, int] = {}

    def seen(self, devices: Mapping[str, int]) -> None:
        """Folders that are on another device than what they are in."""
        with self._lock:
            self._devices.update(devices)

    def away(self, root: OpenRoot) -> tuple[str, ...]:
        """Folders that a volume was mounted at, and none is now.

        A folder that is gone, or has another volume now, counts as changed by the user.
        """
        with self._lock:
            devices = dict(self._devices)
        return tuple(sorted(folder for folder in devices if self._is_bare(root, folder)))

    def _is_bare(self, root: OpenRoot, folder: str) -> bool:
        try:
            return _device(root, folder) == _device(root, folder.rpartition("/")[0])
        except OSError as error:
            # A file system whose server is gone says so, and not that anything is gone.
            return error.errno not in GONE

    def check(self, root: OpenRoot, name: str) -> None:
        """Raises DirectoryAway where ``name`` would be on a volume that is away."""
        if self._devices and (folder := below(name, self.away(root))):
            raise DirectoryAway(reason((folder,)))


def _device(root: OpenRoot, folder: str) -> int:
    descriptor = root.open(folder, LOOK)
    try:
        return os.fstat(descriptor).st_dev
    finally:
        os.close(descriptor)


def below(name: str, folders: Iterable[str]) -> str:
    """The first of some folders that ``name`` is in; empty for none."""
    return next((folder for folder in folders if name.startswith(folder + "/")), "")


def reason(folders: tuple[str, ...]) -> str:
    """In words."""
    where = ", ".join(folders)
    return f"no volume is mounted any more, or none that answers, at {where} of the shared directory"
