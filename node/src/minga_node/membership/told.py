"""What this node and each other one have told each other already of those that are gone.

Who left or died stays known for a while, and nothing changes about it. Its digest is told when something did,
and all digests are told every ten minutes, in case the two of them do not remember the same.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass

ALL_SECONDS = 600.0
"""Between two exchanges with the same node in which all digests are told."""
MOST_PEERS_TOLD = 20_000


@dataclass(frozen=True, slots=True)
class _Told:
    mine: int
    start: int
    theirs: int
    all_at: float


class ToldDigests:
    """How far each peer and this node have told each other. One thread at a time for each peer."""

    def __init__(self) -> None:
        self.start = secrets.randbelow(2**62) + 1
        """Tells this process's history from an earlier one's."""
        self._told: dict[str, _Told] = {}

    def since(self, peer_id: str, now: float) -> tuple[int, int, int] | None:
        """What a peer has heard of this node's history, and (start, sequence) of what this node has heard of
        its; None where all is to be told."""
        told = self._told.get(peer_id)
        if told is None or now - told.all_at >= ALL_SECONDS:
            return None
        return told.mine, told.start, told.theirs

    def met(self, peer_id: str, mine: int, start: int, theirs: int, now: float, *, everything: bool) -> None:
        """An exchange came to its end; ``start`` is 0 where the peer cannot go on from there."""
        before = self._told.pop(peer_id, None)
        if start == 0 or (before is None and not everything):
            return
        if len(self._told) >= MOST_PEERS_TOLD:
            self._told.clear()
        at = now if everything or before is None else before.all_at
        self._told[peer_id] = _Told(mine, start, theirs, at)

    def forget(self, peer_id: str) -> None:
        self._told.pop(peer_id, None)
