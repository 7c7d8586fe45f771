"""Where copies go. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence


def place(
    copies: int,
    holders: Collection[str],
    asked: Collection[str],
    room: Mapping[str, int],
    size: int,
) -> Sequence[str]:
    """Nodes to ask for a copy now.

    Args:
        copies: complete holders that there should be.
        holders: those that there are, online.
        asked: nodes that are at it.
        room: free bytes of the nodes that may be asked.
        size: of the content.
    """
    missing = copies - len(set(holders) | set(asked))
    if missing <= 0:
        return ()
    # A tenth of the copy stays free, so that a node is not filled to the brim.
    fits = [peer for peer, free in room.items() if free >= size * 1.1 and peer not in {*holders, *asked}]
    return sorted(fits, key=lambda peer: (-room[peer], peer))[:missing]
