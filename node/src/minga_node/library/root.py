"""The directory itself: whether the one that was shared is still there; what is below it, by descriptor."""

from __future__ import annotations

import os
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from minga_node.beneath import FOLDER, make_folders, open_beneath
from minga_node.descriptors import exhausted
from minga_node.errors import Busy, DirectoryAway

ROOT = FOLDER & ~os.O_NOFOLLOW
MARKER = "directory"
"""File in the node's own folder that tells this directory from another one in its place."""


@dataclass(frozen=True, slots=True)
class OpenRoot:
    """The directory while it is looked at; what is opened through it stays below it."""

    path: Path
    descriptor: int

    def open(self, name: str, flags: int = os.O_RDONLY) -> int:
        """A descriptor of a file or folder; no symbolic link is followed.

        Raises:
            OSError
        """
        return open_beneath(self.descriptor, name, flags)

    @contextmanager
    def folder(self, name: str, *, make: bool = False) -> Iterator[int]:
        """The folder that ``name`` is in, with ``make`` also if it has to be made.

        Raises:
            OSError
        """
        above = name.rpartition("/")[0]
        descriptor = make_folders(self.descriptor, above) if make else self.open(above, FOLDER)
        try:
            yield descriptor
        finally:
            os.close(descriptor)


class Root:
    """Knows the directory by device and inode, and by a marker in the node's own folder where these change.

    It is opened anew for each look: an open descriptor would keep its volume from being unmounted.

    Args:
        own: the node's own folder in it.
        marker: what the marker said when the node ran before; empty if it never did.
    """

    def __init__(self, path: Path, own: Path, marker: str = "") -> None:
        self.path, self._name = path, str(path)
        self._file = own / MARKER
        self._lock = threading.Lock()
        """Guards the two below."""
        self._known: tuple[int, int] | None = None
        self.marker = marker
        self._begin()

    def _begin(self) -> None:
        here = self._read()
        if self.marker and not here and self._is_empty():
            # As a volume's bare mount point is.
            return
        if not here:
            here = self._write()
        status = self.path.stat()
        self._known, self.marker = (status.st_dev, status.st_ino), here

    def _write(self) -> str:
        """A new marker; empty where nothing may be written."""
        here = uuid.uuid4().hex
        try:
            # Never the directory itself.
            self._file.parent.mkdir(exist_ok=True)
            self._file.write_text(here)
        except OSError:
            return ""
        return here

    def make_own(self) -> None:
        """Makes sure that the node's own folder is there, as far as it can be made.

        Raises:
            DirectoryAway: it would not be made in the directory that is shared.
        """
        with self.open():
            if not self._file.parent.is_dir():
                with suppress(OSError):
                    self._file.parent.mkdir()

    def _read(self) -> str:
        try:
            return self._file.read_text(errors="replace").strip()
        except OSError:
            return ""

    def _is_empty(self) -> bool:
        try:
            return all(path.name.startswith(".") for path in self.path.iterdir())
        except OSError:
            return True

    @contextmanager
    def open(self) -> Iterator[OpenRoot]:
        """The directory, if it is the one that is shared.

        Raises:
            DirectoryAway: it is gone, or another one is in its place.
            Busy: too many files are open.
        """
        try:
            descriptor = os.open(self._name, ROOT)
        except OSError as error:
            if exhausted(error):
                raise Busy("too many files are open") from error
            raise DirectoryAway(f"the shared directory is away ({error.strerror})") from None
        try:
            status = os.fstat(descriptor)
            self._recognize((status.st_dev, status.st_ino))
            yield OpenRoot(self.path, descriptor)
        finally:
            os.close(descriptor)

    def _recognize(self, found: tuple[int, int]) -> None:
        with self._lock:
            if found == self._known:
                return
            if self.marker and self._read() == self.marker:
                # As when a volume is mounted again.
                self._known = found
                return
            never = self._known is None
        if never and not self._is_empty():
            self._begin()
            return
        raise DirectoryAway(
            "the shared directory is away: an empty one is in its place"
            if self._is_empty()
            else "the shared directory is away: another one is in its place, which a restart would share"
        )
