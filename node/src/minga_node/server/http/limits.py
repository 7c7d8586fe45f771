"""How much, how many and how long: what one client may ask of the server."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Sizes in bytes, times in seconds."""

    connections: int = 10_000
    """Connections in all. Beyond it the address that has most loses the one that has waited longest."""
    threads: int = 64
    """Requests that are worked at at once."""
    transfers: int = 16
    """Bodies and answers that are moved at once; a thread moves what is there and leaves."""

    line: int = 8190
    """The longest target, and the longest header with its name."""
    headers: int = 100
    head: int = 64 * 1024
    in_memory: int = 64 * 1024
    """Longer bodies wait in a file; longer contents are sent from theirs."""

    head_seconds: float = 15.0
    """From the first byte of a head, or from the connection's begin, to the head's end."""
    idle_seconds: float = 75.0
    """Between two requests."""
    body_seconds: float = 30.0
    answer_seconds: float = 60.0
    least_progress: int = 1024
    """What must come or go in each of these times while the server waits for it."""
    linger_seconds: float = 5.0
    """How long a client may go on sending what nobody will read, so that it gets to see why."""
