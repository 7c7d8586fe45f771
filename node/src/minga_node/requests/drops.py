"""Fewer copies: whom to ask to drop theirs, so that enough are left."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from minga_node.errors import BadRequest, BrokerUnavailable, Conflict, NotFound
from minga_node.index import Index
from minga_node.requests.copy_placement import order
from minga_node.requests.jobs import Jobs, SentJob


def surplus(content_id: str, holders: Collection[str], keep: int) -> Sequence[str]:
    """Holders that are not needed: those that a new copy would go to last."""
    return order(content_id, holders)[keep:]


class Drops:
    """Asks nodes to drop copies.

    Args:
        jobs: None without a broker.
        target: complete copies that the network wants of each content.
    """

    def __init__(self, index: Index, jobs: Jobs | None, target: int) -> None:
        self._index, self._jobs, self._target = index, jobs, target

    def request(self, content_id: str, peers: Sequence[str] = (), keep: int | None = None) -> list[SentJob]:
        """Asks ``peers``, or without any those that are more than ``keep``, to drop their copies.

        ``keep`` is by default the network's target. Each drops only when ``keep`` others say that they have
        all of it and keep it.

        Raises:
            NotFound: nobody shares it, or one of them has no copy.
            Conflict: fewer than ``keep`` complete copies would be online then.
            BadRequest, BrokerUnavailable
        """
        if self._jobs is None:
            raise BrokerUnavailable("copies are dropped by jobs, which need a message broker: set broker_url")
        keep = self._target if keep is None else keep
        if keep < 1:
            raise BadRequest("keep is the number of copies that stay, and at least one does")
        rows = self._index.by_id(content_id)
        if not rows:
            raise NotFound(f"nobody shares the content {content_id}")
        holders = [holder for holder in self._index.holders(content_id) if holder.complete]
        online = {holder.peer_id for holder in holders if holder.online}
        lacking = set(peers) - {holder.peer_id for holder in holders}
        if lacking:
            raise NotFound(f"{min(lacking)} has no complete copy of {rows[0].name}")
        if not peers:
            peers = surplus(content_id, online, keep)
        left = len(online - set(peers))
        if peers and left < keep:
            raise Conflict(f"{left} complete copies of {rows[0].name} would be left, and {keep} must be")
        sent = [
            self._jobs.send_drop(peer, content_id, rows[0].name, keep=keep) for peer in dict.fromkeys(peers)
        ]
        return [self._jobs.get(job) for job in sent]
