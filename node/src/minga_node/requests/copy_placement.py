"""Where copies go. Pure.

Weighted rendezvous hashing (Thaler and Ravishankar, 1998): every node that asks comes to the same order, so
two that ask for the same copy ask the same node, and a thousand contents do not all go to the emptiest one.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Collection, Iterable, Mapping, Sequence

HEADROOM_FACTOR = 1.1
"""So many times its size must be free for a copy: a node is not filled to the brim."""


def lot(content_id: str, peer_id: str) -> float:
    """A node's number for a content, in (0, 1): the same at every node, different for every pair."""
    digest = hashlib.blake2b(f"{content_id}/{peer_id}".encode(), digest_size=8).digest()
    return (int.from_bytes(digest) + 1) / (2**64 + 1)


def order(content_id: str, peers: Iterable[str]) -> list[str]:
    """Nodes in a content's own order."""
    return sorted(peers, key=lambda peer: (lot(content_id, peer), peer))


def place(
    content_id: str,
    copies: int,
    holders: Collection[str],
    asked: Collection[str],
    room: Mapping[str, int],
    size: int,
) -> Sequence[str]:
    """Nodes to ask for a copy now; one with twice the room is chosen twice as often.

    Args:
        copies: complete holders that there should be.
        holders: those that there are, online.
        asked: nodes that are at it.
        room: free bytes of the nodes that may be asked.
        size: of the content, bytes.
    """
    busy = {*holders, *asked}
    missing = copies - len(busy)
    if missing <= 0:
        return ()
    fits = [peer for peer, free in room.items() if free >= size * HEADROOM_FACTOR and peer not in busy]
    return sorted(fits, key=lambda peer: (-math.log(lot(content_id, peer)) / max(room[peer], 1), peer))[
        :missing
    ]
