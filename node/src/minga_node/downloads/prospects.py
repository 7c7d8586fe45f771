"""Whether it makes sense to begin a download now: looked up before it gets a slot, and while it has none."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from minga_node.downloads.model import Here
from minga_node.downloads.neighbours import CORRUPT
from minga_node.downloads.past import Carried
from minga_node.fetching.left import all_marked
from minga_node.swarm import Why

NOBODY_HONEST = "no holder that sends what the id says"


@dataclass(frozen=True, slots=True)
class Prospect:
    """What there is for a download."""

    seen: Collection[object]
    """Who has the content; another value when that has changed."""
    listed: Mapping[str, bool]
    """Who shares it by what the index says, with whether each is online."""
    honest: bool
    """One of them is online that has not lied."""
    elsewhere: bool
    """It needs none of them: it is here, or others in the swarm have asked for it."""
    other_content: bool
    """Others share another content under its name, and nobody online this one."""

    @property
    def promising(self) -> bool:
        return self.honest or self.elsewhere

    @property
    def reason(self) -> str:
        """Why it waits, if it does."""
        if self.seen and not self.honest:
            return NOBODY_HONEST
        return str(Why.OTHER_CONTENT if self.other_content else Why.NO_HOLDER)


class Prospects:
    """Asks the index, the members and the library; takes no lock, since that may take long."""

    def __init__(self, node: Here) -> None:
        self._node = node

    def of(self, content_id: str, name: str, carried: Carried) -> Prospect:
        """Raises MingaError: the state cannot be read."""
        network = self._node.network
        holders = network.holders(content_id)
        listed = network.listed(content_id)
        others = () if holders else network.contents(name)
        return Prospect(
            frozenset((peer.id, peer.epoch, peer.started, complete) for peer, complete in holders),
            listed,
            any(carried.lies.get(peer.id, 0) < CORRUPT for peer, _ in holders),
            any(network.find(peer) is not None for peer in carried.introduced)
            or self._here(content_id, name),
            any(other != content_id for other in others),
        )

    def _here(self, content_id: str, name: str) -> bool:
        """Whether all of it is in the library, or was here when an earlier process ended."""
        node = self._node
        manifest = node.manifests.get(content_id)
        if manifest is None:
            return False
        if node.has(name, content_id) or all_marked(node.directory, manifest):
            return True
        content = node.library(content_id)
        if content is None:
            return False
        content.close()
        return True
