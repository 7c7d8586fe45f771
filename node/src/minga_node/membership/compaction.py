"""When this node's own tombstones may go: who has seen how much of its log."""

from __future__ import annotations

from collections.abc import Iterable

from minga_node.index import Index
from minga_node.membership.scuttlebutt import Digest
from minga_node.model import Peer

MOST_VERSIONS_BEHIND = 10_000
"""Versions a slow reader may be behind before the tombstones it lacks are dropped (it then starts anew)."""


class Compaction:
    def __init__(self, index: Index) -> None:
        self._index = index
        self._acknowledged: dict[str, tuple[int, int]] = {}
        """Epoch and version of this node's log that each peer has."""

    def acknowledge(self, peer_id: str, digest: Digest) -> None:
        """A peer says how much of this node's log it has."""
        self._acknowledged[peer_id] = (digest.epoch, digest.version)

    def run(self, alive: Iterable[Peer]) -> None:
        """Drops the tombstones that all live nodes have seen, or all where one is too far behind."""
        logs = self._index.logs
        own = logs.own
        seen = [self._acknowledged.get(peer.id, (0, 0)) for peer in alive]
        floor = min((version if epoch == own.epoch else 0 for epoch, version in seen), default=own.version)
        if own.version - max(floor, own.compacted) > MOST_VERSIONS_BEHIND:
            floor = own.version
        logs.compact(self._index.self_id, floor)
