"""The way into the network: through a seed, or through whoever answers first."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass

from minga_node.errors import Conflict, Forged, MingaError, OtherTls
from minga_node.membership.address import is_loopback
from minga_node.membership.clock_bounds import why_not
from minga_node.membership.gossip import Gossip
from minga_node.membership.messages import GossipCalls, Joined
from minga_node.membership.seeds import SeedLookup
from minga_node.model import bracketed

log = logging.getLogger(__name__)

LONGEST_WAIT = 10.0
"""Seconds between two tries to join, at most."""
SEEDS_AT_ONCE = 16
"""Seeds that are asked side by side."""
MOST_SAID = 10
"""Reasons that are logged, each once."""
SEED_SECONDS = 5.0
"""Time between two looks at seeds that are not among the live peers."""
HEAR_SECONDS = 0.5
"""How long a node that has not joined waits for the first seed that answers."""


@dataclass(frozen=True, slots=True)
class _Reached:
    """Who answered at a seed's address, and what it said; nothing where it was this node itself."""

    id: str
    said: Joined | None = None


class Joining:
    """Asks the seeds until this node is in, and later those that are missing among the live peers.

    Args:
        urls: REST addresses of seeds; none for the first node.
        online: whether a peer is online.
        alive: how many peers are alive.
        protected: whether this node meets others by TLS alone.
        contact: is told the address of each seed that a connection was made to.
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
        contact: Callable[[str], None] = lambda _remote: None,
    ) -> None:
        self._urls, self._network, self._gossip, self._calls = tuple(urls), network, gossip, calls
        self._contact = contact
        self._pool = ThreadPoolExecutor(
            max(1, min(len(self._urls), SEEDS_AT_ONCE)), thread_name_prefix="seeds"
        )
        self._self_id, self._online, self._alive = self_id, online, alive
        self._ids: dict[str, str] = {}
        """Who answered at a seed's address."""
        self._seeds = SeedLookup(protected=protected)
        self.joined = not self._urls
        self.problem: str | None = None if self.joined else "joining the network"
        self._asked: dict[Future[_Reached], str] = {}
        self._problems: dict[str, MingaError] = {}
        """Why a seed could not be joined through the last time, by its address."""
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
        """Asks the seeds, if it is time for it, and hears what those say that were asked before."""
        if not self._urls:
            return
        if now >= self._next and not self._seeds_are_known():
            self._ask()
            # Often at first, then less and less, so that a network that starts is quick to meet.
            self._wait = min(self._wait * 1.6, LONGEST_WAIT) if not self.joined else SEED_SECONDS
            self._next = now + self._wait
        if self._asked and not stopping():
            self._hear()

    def set_joined(self, how: str) -> None:
        self.joined, self.problem = True, None
        log.info("joined the network %s %s, %d peers", self._network, how, self._alive())
        self.tell_joined()

    def tell_joined(self) -> None:
        for listener in self.on_joined:
            listener()

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._seeds.close()

    def _seeds_are_known(self) -> bool:
        return all(url in self._ids and self._online(self._ids[url]) for url in self._urls)

    def _ask(self) -> None:
        """Side by side: some may be dead, and to find that out takes as long as it takes."""
        waiting = set(self._asked.values())
        for url in self._urls:
            id_ = self._ids.get(url)
            if url not in waiting and (id_ is None or not self._online(id_)):
                with suppress(RuntimeError):
                    self._asked[self._pool.submit(self._reach, url)] = url

    def _reach(self, url: str) -> _Reached:
        """What a seed says; in a thread of the pool."""
        found = self._seeds.ask(url)
        if found.remote is not None:
            self._contact(found.remote)
        own = self._gossip.own()
        here = (found.peer.host, found.peer.grpc_port) == (own.host, own.grpc_port)
        if found.peer.id == self._self_id and (here or self.joined):
            return _Reached(found.peer.id)
        target = found.peer.grpc_target
        if is_loopback(found.peer.host) and found.remote and not is_loopback(found.remote):
            # It has met nobody yet who could show it its address; who joins does.
            target = f"{bracketed(found.remote)}:{found.peer.grpc_port}"
        said = self._calls.join(target, self._network, own, self._gossip.network_id.said)
        return _Reached(found.peer.id, said)

    def _hear(self) -> None:
        patience = 0.0 if self.joined else HEAR_SECONDS
        for future in wait(self._asked, patience, FIRST_COMPLETED).done:
            url = self._asked.pop(future)
            try:
                reached = future.result()
                if reached.said is not None:
                    self._join(reached.said)
                elif not self.joined:
                    # A seed is told of all seeds, itself among them.
                    self.set_joined("as a seed")
                self._ids[url] = reached.id
                self._problems.pop(url, None)
            except MingaError as error:
                self._problems[url] = error
        problems = [self._problems[url] for url in self._urls if url in self._problems]
        own = self._gossip.own()
        if (
            not self.joined
            and own.seed
            and len(problems) == len(self._urls)
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

    def _join(self, said: Joined) -> None:
        found = said.self
        if found.id == self._self_id:
            self._gossip.twins.heard(found)
            if found.born == self._gossip.own().born and not self.joined:
                self.set_joined("as a seed")
            return
        if why := why_not(found):
            raise Conflict(why)
        if not self._gossip.network_id.heard(said.network_id):
            raise Conflict(f"{found.id} is of another network of the name {self._network}")
        if not self._gossip.hearing.learn(found, alive=True):
            raise Conflict(f"{found.id} has another key than it had; asks whether its old node is gone")
        self._gossip.prove(found.id)
        for peer in said.peers:
            with suppress(Forged):
                self._gossip.hearing.learn(peer, by=found.id)
        self._gossip.meet(found)
        if not self.joined:
            self.set_joined(f"through {found.id}")
