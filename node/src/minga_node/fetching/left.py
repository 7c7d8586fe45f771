"""What is left of a content that was being brought here, once nobody writes to it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from minga_node.manifest import Manifest
from minga_node.wire import piece_set as sets
from minga_node.wire.piece_set import Pieces


@dataclass(frozen=True, slots=True)
class Left:
    """A partial file as it was closed: while it looks the same, nothing of it has to be hashed again."""

    looks: tuple[int, ...]
    have: Pieces

    def is_of(self, descriptor: int) -> bool:
        """Whether nobody has written to an open file since."""
        return self.looks == looks(descriptor)


def looks(descriptor: int) -> tuple[int, ...]:
    found = os.fstat(descriptor)
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def remove_partial(directory: Path, content_id: str) -> None:
    """Takes away what there is of a content; nobody has it open."""
    (directory / content_id).unlink(missing_ok=True)
    (directory / f"{content_id}.pieces").unlink(missing_ok=True)


def all_marked(directory: Path, manifest: Manifest) -> bool:
    """Whether all of a content was here when its partial file was last used."""
    try:
        marked = (directory / f"{manifest.id}.pieces").read_bytes()
    except OSError:
        return False
    return sets.from_bytes(marked, manifest.pieces) == sets.all_pieces(manifest.pieces)
