"""A file that just has a name which says nothing, and what a process left that was killed then.

While a file changes places with another one, is copied to another mount, or is looked at before it is
removed, what the user had in the directory may be in the node's own folder, or hidden beside its name. So a
note lies in the node's own folder before that, by which the next start knows whose the file is.
"""

from __future__ import annotations

import json
import logging
import os
import re
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from minga_node.library.root import OpenRoot
from minga_node.library.scan import Signature

log = logging.getLogger(__name__)

PREFIX = "exchange-"
NOTE = ".json"
UNFINISHED = re.compile("[0-9a-f]{32}")

GiveBack = Callable[[int, str, str], str]
"""Gives a file, of which the folder's descriptor and the path are told, the name that it had, or one beside
that; returns which."""
NOWHERE = -1
"""In place of a folder's descriptor, where the path says all."""


class Note:
    """Of one file, about which it says whose it is.

    Args:
        folder: for notes; the node's own, on the library's file system.
        name: what the file is to be called, or was.
        device: that the folder of the name is on.
        known: what has the name, as far as it may be lost.
    """

    def __init__(self, folder: Path, name: str, device: int, known: Signature | None) -> None:
        number = uuid.uuid4().hex
        self.path = folder / f"{PREFIX}{number}"
        """Of the file, where it is in the node's own folder."""
        self.hidden = f".{number}"
        """Its name, where it is in the folder that it has its name in."""
        self._note = _note_of(self.path)
        self._said = {"name": name, "device": device, "known": known and known.moved}

    def say(self, mine: Signature | None, *, copying: bool = False) -> None:
        """What the node made itself: the file that looks so, or, while it copies, whatever is hidden.

        Raises:
            OSError
        """
        fresh = self._note.with_name(f"{self.path.name}.new")
        fresh.write_text(json.dumps({**self._said, "mine": mine and mine.moved, "copying": copying}))
        fresh.rename(self._note)

    def drop(self, at: int) -> None:
        """Takes it away, if nothing is left to tell of, as there is after an error of the disk."""
        if not _is_there(NOWHERE, str(self.path)) and not _is_there(at, self.hidden):
            self._note.unlink(missing_ok=True)


def _is_there(at: int, path: str) -> bool:
    try:
        os.stat(path, dir_fd=None if at == NOWHERE else at, follow_symlinks=False)
    except OSError:
        return False
    return True


def _note_of(path: Path) -> Path:
    return path.with_name(path.name + NOTE)


@contextmanager
def noted(
    folder: Path,
    name: str,
    at: int,
    known: Signature | None,
    mine: Signature | None = None,
    *,
    copying: bool = False,
) -> Iterator[Note]:
    """A note that is there as long as a file is where it says.

    Args:
        at: descriptor of the folder of the name.

    Raises:
        OSError
    """
    folder.mkdir(exist_ok=True)
    note = Note(folder, name, os.fstat(at).st_dev, known)
    note.say(mine, copying=copying)
    try:
        yield note
    finally:
        note.drop(at)


@contextmanager
def moved_aside(folder: Path, partial: Path, name: str, at: int, known: Signature | None) -> Iterator[Path]:
    """Where a file is while it changes places with what has ``name``; back at its path if it did not.

    Raises:
        OSError
    """
    with noted(folder, name, at, known, Signature.of(partial.stat())) as note:
        partial.rename(note.path)
        try:
            yield note.path
        finally:
            with suppress(FileNotFoundError):
                note.path.rename(partial)


def clean(root: OpenRoot, folder: Path, give_back: GiveBack) -> None:
    """Removes what a process left that was killed; the user gets what is his.

    Raises:
        OSError
    """
    if not folder.is_dir():
        return
    for path in sorted(folder.glob(f"{PREFIX}*{NOTE}")):
        _settle(root, path, give_back)
    for path in folder.iterdir():
        if UNFINISHED.fullmatch(path.name) or (path.name.startswith(PREFIX) and path.suffix == ".new"):
            path.unlink(missing_ok=True)


def _settle(root: OpenRoot, note: Path, give_back: GiveBack) -> None:
    path = note.with_name(note.name.removesuffix(NOTE))
    try:
        said = json.loads(note.read_text())
        name, ours = str(said["name"]), (said["mine"], said["known"])
        device, copying = said.get("device"), said.get("copying", False)
    except (ValueError, KeyError, TypeError):
        # Cut off by a power failure. Nobody knows whose the file is: it stays.
        return
    _end(NOWHERE, str(path), name, ours, give_back)
    try:
        with root.folder(name) as folder:
            hidden = f".{path.name.removeprefix(PREFIX)}"
            found = _end(folder, hidden, name, ours, give_back, all_ours=copying)
            if not found and device is not None and os.fstat(folder).st_dev != device:
                # The volume that it may be on is not there yet.
                return
    except FileNotFoundError:
        pass
    note.unlink()


def _end(
    at: int, path: str, name: str, ours: tuple[object, ...], give_back: GiveBack, *, all_ours: bool = False
) -> bool:
    """Removes a file or gives it to the user; whether there was any."""
    where = None if at == NOWHERE else at
    try:
        status = os.stat(path, dir_fd=where, follow_symlinks=False)
    except FileNotFoundError:
        # It had not begun, or was through.
        return False
    if all_ours or list(Signature.of(status).moved) in ours:
        os.unlink(path, dir_fd=where)
    else:
        given = give_back(at, path, name)
        log.warning("%r was not shared yet when this node was killed while it changed %r", given, name)
    return True
