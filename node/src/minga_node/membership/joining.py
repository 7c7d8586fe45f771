"""The way into the network: through a seed, or through whoever answers first."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from minga_node.errors import Conflict, MingaError, OtherTls
from minga_node.membership.gossip import Gossip
from minga_node.membership.messages import GossipCalls
from minga_node.membership.seeds import Seeds
from minga_node.model import Peer

log = logging.getLogger(__name__)

LONGEST_WAIT = 10.0
"""Seconds between two tries to join, at most."""
MOST_SAID = 10
"""Reasons that are logged, each once."""
SEED_SECONDS = 5.0
"""Time between two looks at seeds that are not among the live peers."""


class Joining:
    """Asks the seeds until this node is in, and later those that are missing among the live peers.

    Args:
        urls: REST addresses of seeds; none for the first node.
        online: whether a peer is.
        alive: how many are.
        protected: whether this node meets others by TLS alone.
    """

    def __init__(
        self,
        urls: Sequence[str],
        network: str,
        gossip: Gossip,
        calls: GossipCalls,
        self_id: str,
        online: Callable[[str], bool],
        alive: Callable[[], int],
        *,
        protected: bool = False,
    ) -> None:
        self._urls, self._network, self._gossip, self._calls = tuple(urls), network, gossip, calls
        self._self_id, self._online, self._alive = self_id, online, alive
        self._ids: dict[str, str] = {}
        """Who answered at a seed's address."""
        self._seeds = Seeds(protected=protected)
        self.joined = not self._urls
        self.problem: str | None = None if self.joined else "joining the network"
        self._said: set[str] = set()
        """What was logged already of why it cannot join."""
        self._wait, self._next = 0.2, 0.0
        self.on_joined: list[Callable[[], None]] = []
        """Called once this node is in the network."""

    @property
    def wait(self) -> float:
        """Seconds that a node that is not in should wait at most."""
        return self._wait

    def try_again(self, now: float, stopping: Callable[[], bool]) -> None:
        """Asks the seeds, if it is time for it."""
        if not self._urls or now < self._next or self._seeds_are_known():
            return
        self._ask(stopping)
        # Often at first, then less and less, so that a network that starts is quick to meet.
        self._wait = min(self._wait * 1.6, LONGEST_WAIT) if not self.joined else SEED_SECONDS
        self._next = now + self._wait

    def set_joined(self, how: str) -> None:
        self.joined, self.problem = True, None
        log.info("joined the network %s %s, %d peers", self._network, how, self._alive())
        self.tell_joined()

    def tell_joined(self) -> None:
        for listener in self.on_joined:
            listener()

    def close(self) -> None:
        self._seeds.close()

    def _seeds_are_known(self) -> bool:
        return all(url in self._ids and self._online(self._ids[url]) for url in self._urls)

    def _ask(self, stopping: Callable[[], bool]) -> None:
        problems: list[MingaError] = []
        for url in self._urls:
            id_ = self._ids.get(url)
            if stopping() or (id_ is not None and self._online(id_)):
                continue
            try:
                seed = self._seeds.ask(url)
                if seed.id == self._self_id:
                    # A seed is told of all seeds, itself among them.
                    self._ids[url] = seed.id
                    if not self.joined:
                        self.set_joined("as a seed")
                    continue
                self._join(seed)
                self._ids[url] = seed.id
            except MingaError as error:
                problems.append(error)
        own = self._gossip.own()
        if (
            not self.joined
            and own.seed
            and problems
            and all(isinstance(error, OtherTls) for error in problems)
        ):
            # While a network changes to TLS, or from it, one seed must be the first that others can join.
            log.warning("%s; begins without it", problems[0])
            self.set_joined("as the first seed that meets peers this way")
        if not self.joined:
            self.problem = f"cannot join: {problems[0]}" if problems else self.problem
            if problems and self.problem and self.problem not in self._said and len(self._said) < MOST_SAID:
                self._said.add(self.problem)
                log.warning("%s; keeps trying", self.problem)

    def _join(self, seed: Peer) -> None:
        found, others = self._calls.join(seed.grpc_target, self._network, self._gossip.own())
        if not self._gossip.hearing.learn(found, alive=True):
            raise Conflict(f"{found.id} has another key than it had; asks whether its old node is gone")
        for peer in others:
            self._gossip.hearing.learn(peer)
        self._gossip.meet(found)
        if not self.joined:
            self.set_joined(f"through {found.id}")
