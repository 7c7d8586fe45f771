"""When news of pieces is worth a message of its own."""

from __future__ import annotations

INTERVAL = 0.3
LONGEST = 1.0
ENOUGH = 8


def seconds_until_told(since: float, new: int, total: int) -> float:
    """How long news may still wait for a header that carries it for nothing; 0 or less: tell it now.

    Args:
        since: seconds since the peer was told anything.
        new: pieces that it has not been told of.
        total: pieces that became available here so far, those included. The first ones are worth a message
        each,
            since a young swarm waits for them; later ones travel several together.
    """
    enough = new >= min(ENOUGH, 1 + total // ENOUGH)
    return (INTERVAL if enough else LONGEST) - since
