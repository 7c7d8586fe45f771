"""Whether files have changed since somebody looked, as those of a mounted Secret do."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

LOOK_SECONDS = 1.0
"""How old an answer of the file system may be."""

Versions = tuple[tuple[int, ...] | None, ...]


def versions(paths: Iterable[Path]) -> Versions:
    """Tells contents of the files apart without reading them; None for one that is not there."""
    found: list[tuple[int, ...] | None] = []
    for path in paths:
        try:
            state = path.stat()
        except OSError:
            found.append(None)
        else:
            found.append((state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns))
    return tuple(found)
