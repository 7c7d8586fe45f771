"""What one attempt to get a content leaves to the next: its figures, and what it learned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from minga_node.fetching.left import Left
from minga_node.wire.piece_set import Pieces


@dataclass(frozen=True, slots=True)
class Past:
    """The figures of all tasks of a download that have ended, together."""

    seconds: float = 0.0
    """For which it ran."""
    sources: Mapping[str, int] = field(default_factory=dict)
    """Bytes by peer."""
    duplicate_bytes: int = 0
    corrupt_pieces: int = 0
    stalls: int = 0
    origins: Mapping[str, Pieces] = field(default_factory=dict)
    """The pieces that came, by the peer that sent them; under "" those from an earlier process."""

    def with_sources(self, sources: Mapping[str, int]) -> dict[str, int]:
        """Those of a further task added."""
        both = dict(self.sources)
        for peer, count in sources.items():
            both[peer] = both.get(peer, 0) + count
        return both

    def with_origins(self, origins: Mapping[str, Pieces]) -> dict[str, Pieces]:
        """The same of pieces; for the further task what this one got was there before."""
        both = {peer: pieces for peer, pieces in self.origins.items() if peer}
        here = 0
        for peer, pieces in origins.items():
            here |= pieces
            if peer:
                both[peer] = both.get(peer, 0) | pieces
        for pieces in both.values():
            here &= ~pieces
        return {**both, "": here} if here else both


@dataclass(frozen=True, slots=True)
class Carried:
    """What the next task of a download should know."""

    left: Left | None = None
    """How the partial file was closed."""
    lies: Mapping[str, int] = field(default_factory=dict)
    """How often peers sent wrong pieces."""
    introduced: frozenset[str] = frozenset()
    """Peers that asked for the content while it waited, and so may have some of it."""
