"""What downloads need of other nodes, out of the index, the membership and gRPC."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from minga_node.downloads.model import AvailabilityFollowing, End, Hear
from minga_node.fetching import Remote
from minga_node.index import Index
from minga_node.manifest import Manifest
from minga_node.membership import Membership
from minga_node.model import Peer
from minga_node.pclient.content import ContentClient
from minga_node.peer_tls import PeerTls


class Reach:
    """The swarm's view of the network; see :class:`minga_node.downloads.Network`."""

    def __init__(
        self,
        index: Index,
        membership: Membership,
        content: ContentClient,
        self_id: str,
        tls: PeerTls | None = None,
    ) -> None:
        self._index, self._membership, self._content, self._self_id = index, membership, content, self_id
        self._tls = tls

    def holders(self, content_id: str) -> Sequence[tuple[Peer, bool]]:
        """Other nodes that are online and have the content, with whether all of it."""
        found: list[tuple[Peer, bool]] = []
        for holder in self._index.holders(content_id):
            if holder.online and holder.peer_id != self._self_id:
                peer = self._membership.get(holder.peer_id)
                if peer is not None:
                    found.append((peer, holder.complete))
        return found

    def listed(self, content_id: str) -> Mapping[str, bool]:
        """Ids of the other nodes that share the content by what is known here; whether each is online."""
        return {
            holder.peer_id: holder.online
            for holder in self._index.holders(content_id)
            if holder.peer_id != self._self_id
        }

    def contents(self, name: str) -> Collection[str]:
        rows = self._index.by_name(name)
        return {
            row.id
            for row in rows
            if any(holder.online and holder.peer_id != self._self_id for holder in row.holders)
        }

    def find(self, name: str) -> Peer | None:
        return self._membership.get(name)

    def remote(self, peer: Peer) -> Remote:
        return Remote(peer.id, peer.host, peer.data_port, self._tls)

    def manifest(self, peer: Peer, content_id: str) -> Manifest:
        return self._content.manifest(peer, content_id)

    def follow(self, peer: Peer, content_id: str, count: int, hear: Hear, end: End) -> AvailabilityFollowing:
        return self._content.follow(peer, content_id, count, hear, end)
