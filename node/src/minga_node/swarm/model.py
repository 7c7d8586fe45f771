"""What a download's swarm says."""

from __future__ import annotations

from enum import StrEnum


class Outcome(StrEnum):
    NEW = "new"
    DUPLICATE = "duplicate"


class Why(StrEnum):
    """Why a download is not faster just now."""

    RUNNING = "running"
    NO_HOLDER = "no holder"
    OTHER_CONTENT = "no holder; another content has its name"
    GONE = "no holder; nobody shares it any more"
    CHOKED = "all holders are busy"
    NOTHING_NEW = "waiting for pieces that no connected holder has yet"
    DISK = "waiting for the disk"
    LIMIT = "held back by a limit"
    COMPLETE = "complete"
