"""The holder's part of the choice: which of the ranges that a request would take it answers with."""

from __future__ import annotations

from collections.abc import Sequence

from minga_node.wire.piece_set import Pieces


def least_sent(candidates: Sequence[range], sent: Sequence[int]) -> range:
    """The candidate whose pieces this holder has sent least; the first of equals.

    While every requester names a few pieces at random that nobody else has, distinct pieces leave a seed once
    each before any leaves it twice, without a message more (RFC 9110, 15.3.7: a server may send a part of
    what was asked for).
    """
    return min(candidates, key=lambda pieces: sum(sent[piece] for piece in pieces) / len(pieces))


def still_wanted(candidates: Sequence[range], has: Pieces) -> list[range]:
    """The candidates that the requester, as far as its holder has heard, has not got elsewhere meanwhile."""
    return [pieces for pieces in candidates if any(not has >> piece & 1 for piece in pieces)]
