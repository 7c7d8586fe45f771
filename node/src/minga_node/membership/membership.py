"""Membership: its parts put together, what the node asks of it, and what other nodes do."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

from minga_node.errors import Conflict, PeerMisbehaved
from minga_node.index import Delta, Index
from minga_node.membership.address import OwnAddress
from minga_node.membership.answering import Reachability
from minga_node.membership.clock_bounds import clock_problem
from minga_node.membership.goodbyes import Goodbye
from minga_node.membership.gossip import Gossip
from minga_node.membership.joining import Joining
from minga_node.membership.leaving import say_goodbye
from minga_node.membership.member_records import MemberRecords
from minga_node.membership.messages import Fetch, GossipCalls, Push, Reconcile, Reconciled
from minga_node.membership.network_id import NetworkId
from minga_node.membership.probing import Probing
from minga_node.membership.roster import Roster
from minga_node.membership.round_partners import RoundPartners
from minga_node.membership.rounds import Rounds
from minga_node.membership.rumours import RumourSender
from minga_node.membership.states import States
from minga_node.membership.upkeep import MembershipUpkeep
from minga_node.membership.view import View
from minga_node.model import Peer, PeerStatus
from minga_node.store import Store
from minga_node.workers import Worker


class Membership:
    """Who is in the network, and the rounds that keep all of its indices equal.

    Args:
        self_peer: this node as others are told of it.
        network: its name.
        seeds: REST addresses to join through; none for the first node.
        index: whose logs are reconciled; its ``online`` is answered from here.
        calls: reaches other nodes.
        gossip_seconds: time between two rounds.
        suspect_seconds, dead_seconds: silence after which a peer is suspected, or counts as dead.
        forget_seconds: silence after which a dead peer and its log are dropped.
        forget_left_seconds: time after which a peer that said goodbye, and its log, are dropped.
        protected: whether this node meets others by TLS alone.
        eager: whether news are sent at once by gRPC; False while the broker carries them.
        address: where this node says that it is.
    """

    def __init__(
        self,
        self_peer: Callable[[], Peer],
        network: str,
        seeds: Iterable[str],
        index: Index,
        calls: GossipCalls,
        store: Store,
        *,
        gossip_seconds: float = 1.0,
        suspect_seconds: float = 5.0,
        dead_seconds: float = 15.0,
        forget_seconds: float = 7 * 86_400.0,
        forget_left_seconds: float = 3_600.0,
        fanout: int = 2,
        protected: bool = False,
        eager: Callable[[], bool] = lambda: True,
        address: OwnAddress | None = None,
    ) -> None:
        self._index, self._calls, self._self_id = index, calls, index.self_id
        self._address = address
        self._view = View(index.self_id, suspect_seconds, max(dead_seconds, suspect_seconds))
        self._records = MemberRecords(store)
        self._view.remember(self._records.load(time.monotonic()))
        self._network_id = NetworkId(store)
        self._gossip = Gossip(index, self._view, calls, self_peer, network, network_id=self._network_id)
        self._lock = self._gossip.lock
        self._view.beat(time.time_ns() // 1_000_000)
        self._answering = Reachability(self._view.dead)
        self._roster = Roster(self._view, self._lock, self._answering)
        self._joining = Joining(
            tuple(seeds),
            network,
            self._gossip,
            calls,
            self._self_id,
            self.is_online,
            lambda: len(self.alive()),
            protected=protected,
            contact=lambda remote: self.upkeep.contact(remote),
        )
        self._first = not tuple(seeds) and not self._view.known
        self._stop = threading.Event()
        self._pool = ThreadPoolExecutor(8, thread_name_prefix="gossip")
        self._partners = RoundPartners(
            self._gossip, self._view, self._pool, fanout, self._met, self._answering
        )
        self.probing = Probing(calls, network, self._self_id, self.get, self.alive, self._answering)
        self._noticed = States()
        self.on_state = self._noticed.listeners
        """Called when a peer's state changes."""
        self.upkeep = MembershipUpkeep(
            index,
            self._view,
            self._lock,
            self.alive,
            self._answering,
            self._noticed,
            self._network_id,
            address,
            left_seconds=forget_left_seconds,
            dead_seconds=forget_seconds,
        )
        self._rounds = Rounds(
            self._gossip,
            self._view,
            self._records,
            self._joining,
            self._partners,
            self._answering,
            self.probing,
            self.upkeep,
            self._noticed,
            self._pool,
            gossip_seconds,
        )
        self.worker = self._rounds.worker
        self.eager = eager
        index.online = self.is_online
        self._rumours = RumourSender(index, self._gossip.tell, self.alive, self._tells, self._pool)
        index.logs.hooks.append(self._published)

    def tell_again(self, version: int) -> None:
        """Others are to hear at once what this node's log has after ``version``."""
        self._rumours.tell_again(self._self_id, version)

    # What others ask about.

    @property
    def joined(self) -> bool:
        return self._joining.joined

    @property
    def problem(self) -> str | None:
        """Why this node is not in the network; None when it is."""
        return self._joining.problem

    @property
    def problems(self) -> list[str]:
        """Why this node is not ready, as far as others are concerned."""
        joining = [] if self.joined else [self.problem or "joining the network"]
        others = (
            self._gossip.twins.problem,
            self._address.problem if self._address else None,
            clock_problem(time.time()),
        )
        return [*joining, *(problem for problem in others if problem)]

    @property
    def network_id(self) -> str:
        """What tells this network from others of its name; empty while that is not known."""
        return self._network_id.value

    @property
    def on_joined(self) -> list[Callable[[], None]]:
        """Called once this node is in the network."""
        return self._joining.on_joined

    def is_online(self, peer_id: str) -> bool:
        """See :meth:`.Roster.is_online`."""
        return self._roster.is_online(peer_id)

    def alive(self) -> tuple[Peer, ...]:
        """All other nodes that are alive or only suspected."""
        return self._roster.alive()

    def get(self, peer_id: str) -> Peer | None:
        """Another node's record; None where it has told none."""
        return self._roster.get(peer_id)

    def statuses(self) -> tuple[PeerStatus, ...]:
        """What is thought of each node whose addresses are known, by id."""
        return self._roster.statuses()

    def admit(self, network: str, sender: Peer, network_id: str) -> None:
        """See :meth:`.Gossip.admit`."""
        self._gossip.admit(network, sender, network_id)

    def probe(self, network: str, id_: str) -> str | None:
        """See :meth:`.Probing.serve`."""
        return self.probing.serve(network, id_)

    def forget(self, id_: str) -> None:
        """See :meth:`.Upkeep.forget`."""
        self.upkeep.forget(id_)

    def own(self) -> Peer:
        """This node as it tells others of itself."""
        return self._gossip.own()

    def last_word(self) -> Goodbye:
        """This node's signed goodbye, with its last heartbeat."""
        with self._lock:
            return self._gossip.goodbyes.sign(self._self_id, self._index.logs.own.epoch, self._view.heartbeat)

    def hear_of(self, peer: Peer) -> None:
        """Takes a node's addresses from elsewhere."""
        self._gossip.hearing.learn(peer)

    # What other nodes ask for.

    def accept(
        self, network: str, peer: Peer, network_id: str = "", caller: str = ""
    ) -> tuple[Peer, tuple[Peer, ...]]:
        """See :meth:`.Callee.accept`."""
        try:
            return self._gossip.accept(network, peer, network_id, caller)
        except Conflict:
            self._rounds.settle_names()
            raise

    def hear_goodbye(self, goodbye: Goodbye) -> None:
        """See :meth:`.Hearing.hear_goodbye`."""
        if self._gossip.hearing.hear_goodbye(goodbye):
            self._rounds.notice_states()

    def answer(self, request: Reconcile) -> Reconciled:
        return self._gossip.answer(request)

    def blame(self, peer: Peer, error: PeerMisbehaved) -> None:
        """Notes that a peer sent what is not even a message."""
        self._gossip.conduct.blame(peer, error)

    def serve(self, request: Fetch, cancel: Callable[[], object]) -> Iterator[Delta]:
        return self._gossip.serve(request, cancel)

    def take_push(self, message: Push) -> None:
        self._gossip.take_push(message)

    # The rounds.

    def start(self) -> None:
        if self._first:
            self._network_id.make()
        if self.joined:
            self._joining.tell_joined()
        self.worker.start()
        self._rumours.worker.start()

    def stop(self) -> None:
        """Says goodbye and ends."""
        if self._stop.is_set():
            return
        self._end()
        with self._lock:
            self._view.beat(time.time_ns() // 1_000_000)
            goodbye = self.last_word()
            self._view.leave(goodbye)
        say_goodbye(goodbye, self.alive(), self._calls, self._pool)
        self.die()
        self._rounds.save()

    def die(self) -> None:
        """Ends without a word, as a node that is killed."""
        self._end()
        self._pool.shutdown(wait=True, cancel_futures=True)
        self.worker.stop()
        self._rumours.worker.stop()
        self._joining.close()

    def _end(self) -> None:
        self._stop.set()
        self.worker.stopping.set()
        self._gossip.stop()
        self._rumours.stop()

    @property
    def workers(self) -> tuple[Worker, ...]:
        return self.worker, self._rumours.worker

    def _tells(self) -> bool:
        # What was published before anybody said what it knows of this node's log may not follow from that.
        return self.eager() and self._gossip.hearing.confirmed

    def _published(self, _db: object, delta: Delta) -> None:
        if delta.peer_id == self._self_id and not self.eager():
            # The broker tells everybody at once: from now on others may know more than was on the disk.
            self._gossip.hearing.confirmed = True

    def _met(self, peer: Peer) -> None:
        if not self.joined:
            # Any member will do: the seeds are only how a newcomer finds the first one.
            self._joining.set_joined(f"through {peer.id}")

    def meet_soon(self, peer_id: str) -> None:
        """Reconciles with a peer now, because it is known to have news."""
        if (peer := self.get(peer_id)) is not None and not self._stop.is_set():
            self._partners.submit(peer)
