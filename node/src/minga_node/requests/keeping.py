"""Which contents this node sees to, so that the network has as many copies of each as it wants. Pure.

Of all complete holders that are online one takes care of a content: the one that has had it longest, which is
its publisher while that lives. All nodes know the same holders, so they agree on who it is without a word. A
holder that went away counts for a while as if it were here: nodes that restart are no reason to copy.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

from minga_node.requests.copy_placement import lot

NODES_AT_ONCE = 32
"""Contents that one node has copied at the same time; each receiver takes them one by one."""
SETTLE_SECONDS = 3.0
"""How long a content must have had too few copies. What has just changed is not known everywhere yet."""


@dataclass(frozen=True, slots=True)
class Copy:
    """A complete copy."""

    peer_id: str
    since_ms: int
    """When the file was modified there, milliseconds since 1970."""
    away: float
    """Seconds since its node was last heard of; 0 while it is online."""


@dataclass(frozen=True, slots=True)
class Scarce:
    """A content that may have too few copies."""

    content_id: str
    copies: tuple[Copy, ...]


def caretaker(scarce: Scarce) -> str | None:
    """The node that sees to a content; None while no complete holder is online."""
    online = [copy for copy in scarce.copies if copy.away == 0]
    if not online:
        return None
    return min(
        online, key=lambda copy: (copy.since_ms, lot(scarce.content_id, copy.peer_id), copy.peer_id)
    ).peer_id


def missing(scarce: Scarce, target: int, delay: float) -> int:
    """Copies to be made now."""
    return max(0, target - sum(copy.away < delay or copy.away == 0 for copy in scarce.copies))


@dataclass(slots=True)
class Keeper:
    """One node's decisions.

    Args:
        target: complete copies that each content should have.
        delay: seconds that a holder may be away before its copies are replaced.
    """

    self_id: str
    target: int
    delay: float
    _since: dict[str, float] = field(default_factory=dict)
    """When a content of this node's was first seen with too few copies."""

    def look(
        self, now: float, found: Iterable[Scarce], busy: Collection[str], after: str = "", until: str = ""
    ) -> Sequence[str]:
        """Contents to ask copies of now.

        Args:
            now: seconds of a monotonic clock.
            found: what has too few copies, of the ids from ``after`` to ``until`` (empty: of all).
            busy: contents that this node has copied already.
        """
        short = {
            each.content_id
            for each in found
            if missing(each, self.target, self.delay) and caretaker(each) == self.self_id
        }
        elsewhere = {
            content: since
            for content, since in self._since.items()
            if content <= after or (until and content > until)
        }
        self._since = elsewhere | {content: self._since.get(content, now) for content in short}
        ripe = sorted(
            (since, content)
            for content, since in self._since.items()
            if content in short and now - since >= SETTLE_SECONDS and content not in busy
        )
        return [content for _, content in ripe[: max(0, NODES_AT_ONCE - len(busy))]]
