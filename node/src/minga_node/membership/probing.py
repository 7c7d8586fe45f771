"""Asks nodes whether they answer, here and by way of others (SWIM's indirect probe; Das et al., 2002)."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from minga_node.errors import Conflict, MingaError, NotFound, PeerMisbehaved
from minga_node.membership.answering import Reachability
from minga_node.membership.messages import GossipCalls
from minga_node.model import Peer

PROBE_SECONDS = 2.0
PROBING_PEERS = 3
"""Nodes that are asked about another one."""
PROBES_AT_ONCE = 8
MOST_PROBED_PEERS = 100
"""Peers that one look goes through."""


@dataclass(frozen=True, slots=True)
class Probe:
    """One peer, in both directions."""

    peer: Peer
    problem: str
    """Why it does not answer here; empty if it does."""
    back: str | None
    """Why this node does not answer it; empty if it does, None where that is not known."""


class Probing:
    """Finds out which nodes reach each other, by asking them and by asking others about them.

    Args:
        get: a peer by its id.
        alive: all peers that are alive.
    """

    def __init__(
        self,
        calls: GossipCalls,
        network: str,
        self_id: str,
        get: Callable[[str], Peer | None],
        alive: Callable[[], Sequence[Peer]],
        answering: Reachability,
    ) -> None:
        self._calls, self._network, self._self_id = calls, network, self_id
        self._get, self._alive, self._answering = get, alive, answering
        self._places = threading.Semaphore(PROBES_AT_ONCE)

    def serve(self, network: str, id_: str) -> str | None:
        """Whether a peer answers this node; why not.

        Raises:
            Conflict, NotFound: it is none of this network's.
        """
        if network != self._network:
            raise Conflict(f"this is the network {self._network!r}")
        peer = self._get(id_)
        if peer is None:
            raise NotFound("nobody of this name is known here")
        if not self._places.acquire(blocking=False):
            return "too many are being asked at once"
        try:
            return self._answers(peer) or None
        finally:
            self._places.release()

    def ask_others(self, id_: str) -> None:
        """Asks some whether they reach a node that does not answer here."""
        others = [
            peer for peer in self._alive() if peer.id != id_ and peer.id not in self._answering.failing()
        ]
        said: list[bool] = []
        for peer in random.sample(others, min(PROBING_PEERS, len(others))):
            try:
                said.append(not self._calls.probe(peer.grpc_target, self._network, id_))
            except MingaError:
                continue
        if said:
            self._answering.others_say(id_, nobody=not any(said))

    def look(self) -> list[Probe]:
        """Every living peer, in both directions; a few seconds."""
        peers = list(self._alive())
        with ThreadPoolExecutor(PROBES_AT_ONCE, thread_name_prefix="probe") as pool:
            return list(pool.map(self._both, random.sample(peers, min(MOST_PROBED_PEERS, len(peers)))))

    def _both(self, peer: Peer) -> Probe:
        problem = self._answers(peer)
        if problem:
            return Probe(peer, problem, None)
        try:
            return Probe(peer, "", self._calls.probe(peer.grpc_target, self._network, self._self_id))
        except PeerMisbehaved:
            # A node of an earlier release does not know the question.
            return Probe(peer, "", None)
        except MingaError as error:
            return Probe(peer, "", str(error) if isinstance(error, NotFound) else None)

    def _answers(self, peer: Peer) -> str:
        try:
            self._calls.ping(peer.grpc_target, PROBE_SECONDS)
        except MingaError as error:
            return str(error)
        return ""
