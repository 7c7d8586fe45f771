"""How many nodes one may tell of, and which of them make room for others. Pure.

Names cost their maker nothing: anybody can make keys and sign records with them. What costs is to answer at
an address. So a node is *proven* once it has answered this node's own call, and only what is unproven is
counted against whoever told of it, and goes when there are too many.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

MOST_KNOWN = 15_000
"""Nodes that are remembered. Peers take 20,000 digests in a message, and no network is near this."""
MOST_TOLD_BY_A_PROVEN_NODE = 1_000
"""Unproven nodes that are remembered of those that one proven node tells of, at most."""
MOST_TOLD_BY_AN_UNPROVEN_NODE = 16
"""Unproven nodes that are remembered of those that one unproven node tells of, at most."""
MOST_AT_AN_ADDRESS = 256
"""Nodes that speak for themselves from one address, at most. Beyond that one makes room for the next."""
AT = "@"
"""Before an address that stands in the place of a teller's name, which has none of it."""


class CrowdMember(Protocol):
    """What counts of a node."""

    proven: bool
    by: str
    heard: float


class Crowd:
    """Counts the unproven, by who told of them."""

    def __init__(self, most: int = MOST_KNOWN) -> None:
        self._most = most
        self._told: dict[str, set[str]] = {}

    def may_tell(self, by: str, *, proven: bool) -> bool:
        """Whether one more node that ``by`` tells of is taken."""
        return len(self._told.get(by, ())) < (
            MOST_TOLD_BY_A_PROVEN_NODE if proven else MOST_TOLD_BY_AN_UNPROVEN_NODE
        )

    def full(self, by: str) -> bool:
        """Whether somebody has to go for one more that speaks for itself from an address."""
        return by.startswith(AT) and len(self._told.get(by, ())) >= MOST_AT_AN_ADDRESS

    def too_many(self, known: Mapping[str, CrowdMember]) -> bool:
        return len(known) >= self._most

    def came(self, id_: str, by: str) -> None:
        self._told.setdefault(by, set()).add(id_)

    def went(self, id_: str, by: str) -> None:
        """A node was proven, or forgotten."""
        told = self._told.get(by)
        if told is not None:
            told.discard(id_)
            if not told:
                del self._told[by]

    def least_missed(self, known: Mapping[str, CrowdMember], by: str | None = None) -> str | None:
        """Who makes room; None where everybody is proven.

        It is the one that has been silent longest, of those that ``by``, or else the teller of most, has told
        of.
        """
        if not self._told:
            return None
        ids = self._told.get(by, set()) if by is not None else max(self._told.values(), key=len)
        return min(_here(ids, known), key=lambda id_: known[id_].heard, default=None)


def _here(ids: Iterable[str], known: Mapping[str, CrowdMember]) -> list[str]:
    return [id_ for id_ in ids if id_ in known]
