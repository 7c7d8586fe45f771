"""Names made of other names, for what must not replace what has the name already."""

from __future__ import annotations

from datetime import UTC, datetime

from minga_node.names import MAX_BYTES, cut

PART_BYTES = 255
"""Of one part of a path, on every common file system."""


def with_id(name: str, identity: str, number: int = 0) -> str:
    """A name with a content's id in it, for where other content has the name."""
    return _marked(name, identity[:8], number)


def kept(name: str, when: float, number: int = 0) -> str:
    """The name under which a user's file stays that another one took the place of; ``when`` in seconds."""
    return _marked(name, f"kept-{datetime.fromtimestamp(when, UTC):%Y%m%dT%H%M%SZ}", number)


def _marked(name: str, mark: str, number: int) -> str:
    """``folder/stem.mark.ending``; the stem gives way where that would be too long."""
    above, slash, leaf = name.rpartition("/")
    stem, dot, ending = leaf.rpartition(".")
    if not dot or not stem or len(ending.encode()) > PART_BYTES // 2:
        stem, dot, ending = leaf, "", ""
    tail = f".{mark}" + (f"-{number}" if number else "") + dot + ending
    room = min(PART_BYTES, MAX_BYTES - len((above + slash).encode())) - len(tail.encode())
    return above + slash + cut(stem, room) + tail
