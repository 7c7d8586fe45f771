"""A file that is just changing places with another one, and what a process left that was killed then.

Between the exchange and the next step what the user had in the directory is in the node's own folder, under a
name that says nothing. So a note lies beside it before that, by which the next start knows whose it is.
"""

from __future__ import annotations

import json
import logging
import re
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from minga_node.library.scan import Signature

log = logging.getLogger(__name__)

PREFIX = "exchange-"
NOTE = ".json"
UNFINISHED = re.compile("[0-9a-f]{32}")


@contextmanager
def noted(partial: Path, name: str, known: Signature | None) -> Iterator[Path]:
    """Where the file is while it changes places with what has ``name``; back at its path if it did not.

    Args:
        known: what may be lost of what has the name.

    Raises:
        OSError
    """
    aside = partial.with_name(f"{PREFIX}{uuid.uuid4().hex}")
    note = aside.with_name(aside.name + NOTE)
    mine = Signature.of(partial.stat())
    note.write_text(json.dumps({"name": name, "mine": mine.moved, "known": known and known.moved}))
    try:
        partial.rename(aside)
        try:
            yield aside
        finally:
            with suppress(FileNotFoundError):
                aside.rename(partial)
    finally:
        note.unlink(missing_ok=True)


def clean(folder: Path, keep: Callable[[Path, str], str]) -> None:
    """Removes what a process left that was killed; ``keep`` gives what is the user's a name beside the one it
    had, and returns that.

    Raises:
        OSError
    """
    if not folder.is_dir():
        return
    for note in sorted(folder.glob(f"{PREFIX}*{NOTE}")):
        _settle(note, keep)
    for path in folder.iterdir():
        if UNFINISHED.fullmatch(path.name):
            path.unlink(missing_ok=True)


def _settle(note: Path, keep: Callable[[Path, str], str]) -> None:
    aside = note.with_name(note.name.removesuffix(NOTE))
    try:
        said = json.loads(note.read_text())
        name, ours = str(said["name"]), (said["mine"], said["known"])
        found = list(Signature.of(aside.lstat()).moved)
    except FileNotFoundError:
        # It had not begun, or was through.
        note.unlink(missing_ok=True)
        return
    except (ValueError, KeyError, TypeError):
        # Cut off by a power failure. Nobody knows whose the file is: it stays.
        return
    if found in ours:
        aside.unlink()
    else:
        kept = keep(aside, name)
        log.warning("%r was not shared yet when this node was killed while %r got its name", kept, name)
    note.unlink()
