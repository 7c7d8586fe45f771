"""Who tells whom which pieces became available.

A peer follows a content on the connection on which it asks for pieces. Its first request is answered with
everything that is here and with others in the swarm; then news travel in the headers of requests and answers
that go there anyway, and what has waited longer than a moment (:mod:`minga_node.swarm.news`) goes in a small
request of its own, if there is a connection in that direction too. Whoever hears nothing in that way follows
on a gRPC stream as well; the n² streams of a busy swarm of n nodes would cost more than its news.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from minga_node.downloads.model import Availability
from minga_node.errors import NotFound
from minga_node.swarm.news import seconds_until_told
from minga_node.uploads.connection import PieceNews
from minga_node.wire import piece_set as sets
from minga_node.wire.piece_set import Pieces
from minga_node.workers import Worker

REPEAT = 5.0
"""Seconds after which a stream repeats everything, in case a header got lost with its connection."""
LOOK = 0.1
"""Seconds after which new pieces may have made news urgent."""
INTRODUCTIONS = 16
"""Others that one who comes is told of, and that are told of it."""
FOLLOWERS = 64


Put = Callable[[Availability | None], None]
"""Takes what a stream is to send next, from any thread, without waiting; None: its end."""


@dataclass(slots=True, eq=False)
class _Follower:
    told: int
    """How much of the log it knows."""
    at: float
    others: dict[str, None] = field(default_factory=dict)
    """Those it is to be told of, in the order in which they came; no more than follow."""
    connections: int = 0
    """On which it follows."""
    put: Put | None = None
    """Where what its stream is to send goes, if it has one."""

    @property
    def gone(self) -> bool:
        return not self.connections and self.put is None

    def hear_of(self, name: str) -> None:
        if len(self.others) < FOLLOWERS:
            self.others[name] = None

    def introductions(self) -> tuple[str, ...]:
        """Those it has not been told of; now they count as told."""
        told, self.others = tuple(self.others), {}
        return told


@dataclass(slots=True, eq=False)
class _Swarm:
    log: list[int] = field(default_factory=list)
    followers: dict[str, _Follower] = field(default_factory=dict)


class Exchange:
    """The serving side of availability, for all contents.

    Args:
        available: the pieces of a content that are here and their count, None if it is not known here.
        on_follower: told of every peer that starts to follow a content, and
        on_heard: told what a peer says it has (content, peer, pieces as ``0-3,7``).
        has: what a peer is known to have of a content.
        tell: has :meth:`news` told to a peer at once; False if there is no connection for that.
    """

    def __init__(
        self,
        available: Callable[[str], tuple[Pieces, int] | None],
        *,
        on_follower: Callable[[str, str], None] = lambda *_: None,
        on_heard: Callable[[str, str, str], None] = lambda *_: None,
        has: Callable[[str, str], Pieces] = lambda *_: 0,
        tell: Callable[[str, str], bool] = lambda *_: False,
    ) -> None:
        self._available, self._on_follower, self._on_heard = available, on_follower, on_heard
        self.has, self._tell = has, tell
        self._swarms: dict[str, _Swarm] = {}
        self._lock = threading.Lock()
        self._dirty: set[str] = set()
        self._stopped = False
        self._random = random.Random()
        self.worker = Worker("exchange", self._tell_late, delay=None)

    def start(self) -> None:
        self.worker.start()

    def stop(self) -> None:
        """Ends all streams."""
        with self._lock:
            self._stopped = True
            for swarm in self._swarms.values():
                for follower in swarm.followers.values():
                    if follower.put is not None:
                        follower.put(None)
        self.worker.stop(5.0)

    # the piece listener's and the receivers' side (see transfer.Gossip)

    def meet(self, content_id: str, peer: str) -> PieceNews | None:
        """A peer begins to follow on a connection: what it is told first. None: nothing is here."""
        with self._lock:
            follower, others = self._enter(content_id, peer)
            if follower is not None:
                follower.connections += 1
        # What comes between the two looks is told twice, which does no harm.
        here = self._available(content_id)
        if here is None:
            if follower is not None:
                self.part(content_id, peer)
            return None
        self._on_follower(content_id, peer)
        return PieceNews(here[0], others, follows=follower is not None)

    def part(self, content_id: str, peer: str) -> None:
        """Such a connection has ended."""
        with self._lock:
            follower = self._follower(content_id, peer)
            if follower is not None and follower.connections:
                follower.connections -= 1
                self._leave(content_id, peer, follower)

    def others(self, content_id: str, peer: str) -> tuple[str, ...]:
        """Who has come and the peer has not been told of; now they count as told."""
        with self._lock:
            follower = self._follower(content_id, peer)
            return follower.introductions() if follower is not None else ()

    def heard(self, content_id: str, peer: str, pieces: str) -> None:
        self._on_heard(content_id, peer, pieces)

    def news(self, content_id: str, peer: str) -> Pieces:
        """What became available here and the peer has not been told; now it counts as told."""
        with self._lock:
            return self._untold(content_id, peer)

    def _untold(self, content_id: str, peer: str) -> Pieces:
        """The lock is held."""
        swarm = self._swarms.get(content_id)
        follower = swarm.followers.get(peer) if swarm is not None else None
        if swarm is None or follower is None or follower.told == len(swarm.log):
            return 0
        pieces = sets.of(swarm.log[follower.told :])
        follower.told, follower.at = len(swarm.log), time.monotonic()
        return pieces

    # the downloads' side

    def announce(self, content_id: str, piece: int) -> None:
        """A piece has been verified here."""
        with self._lock:
            swarm = self._swarms.get(content_id)
            if swarm is None:
                return
            swarm.log.append(piece)
            # Once awake it looks again by itself; waking it at every piece would cost more than that.
            idle = not self._dirty
            self._dirty.add(content_id)
        if idle:
            self.worker.wake()

    def followers(self, content_id: str) -> int:
        with self._lock:
            swarm = self._swarms.get(content_id)
            return len(swarm.followers) if swarm else 0

    # followers; the lock is held

    def _follower(self, content_id: str, peer: str) -> _Follower | None:
        swarm = self._swarms.get(content_id)
        return swarm.followers.get(peer) if swarm is not None else None

    def _enter(self, content_id: str, peer: str) -> tuple[_Follower | None, tuple[str, ...]]:
        """Who follows as of now, and whom it is told of, who are told of it too; None where enough others
        follow.
        """
        swarm = self._swarms.setdefault(content_id, _Swarm())
        others = [name for name in swarm.followers if name != peer]
        shown = tuple(self._random.sample(others, min(INTRODUCTIONS, len(others))))
        follower = swarm.followers.get(peer)
        if follower is None:
            for name in shown:
                swarm.followers[name].hear_of(peer)
            if len(swarm.followers) >= FOLLOWERS or self._stopped:
                return None, shown
            follower = swarm.followers[peer] = _Follower(0, 0.0)
        follower.told, follower.at = len(swarm.log), time.monotonic()
        return follower, shown

    def _leave(self, content_id: str, peer: str, follower: _Follower) -> None:
        """Forgets it if nothing is left on which it follows."""
        swarm = self._swarms.get(content_id)
        if swarm is not None and follower.gone and swarm.followers.get(peer) is follower:
            del swarm.followers[peer]
            if not swarm.followers:
                del self._swarms[content_id]

    # the gRPC server's side

    def subscribe(self, content_id: str, peer: str, put: Put) -> Subscription:
        """A peer follows a content on a stream: what becomes available goes to ``put``. It may take time.

        Raises:
            NotFound: nothing of the content is here or comes here.
        """
        here = self._available(content_id)
        if here is None:
            raise NotFound(f"nothing of {content_id} is here")
        with self._lock:
            follower, others = self._enter(content_id, peer)
            if follower is not None:
                if follower.put is not None:
                    follower.put(None)
                follower.put = put
        everything = self._everything(self._available(content_id) or here, others)
        self._on_follower(content_id, peer)
        return Subscription(self, content_id, peer, everything, put, follower is not None)

    def again(self, content_id: str, peer: str) -> Availability | None:
        """Everything that is here, for a stream that has been silent; None: nothing any more."""
        here = self._available(content_id)
        if here is None:
            return None
        return self._everything(here, self.others(content_id, peer))

    def unsubscribe(self, content_id: str, peer: str, put: Put) -> None:
        """A stream has ended."""
        with self._lock:
            follower = self._follower(content_id, peer)
            if follower is not None and follower.put is put:
                follower.put = None
                self._leave(content_id, peer, follower)

    def _everything(self, here: tuple[Pieces, int], others: tuple[str, ...]) -> Availability:
        pieces, count = here
        return Availability(pieces, pieces == sets.all_pieces(count), others, everything=True)

    def _tell_late(self) -> float | None:
        """Tells what no header has carried in time; seconds until it may be somebody else's turn."""
        urgent, wait = self._urgent()
        for content_id, peer in urgent:
            if not self._tell(content_id, peer):
                self._put(content_id, peer)
        return min(wait, LOOK) if self._dirty else None

    def _urgent(self) -> tuple[list[tuple[str, str]], float]:
        """Who has to be told now, and seconds until it is somebody else's turn."""
        with self._lock:
            now = time.monotonic()
            due, urgent = now + 60.0, []
            for content_id in list(self._dirty):
                swarm = self._swarms.get(content_id)
                followers = swarm.followers.items() if swarm is not None else ()
                waiting = [(name, one) for name, one in followers if swarm and one.told < len(swarm.log)]
                if swarm is None or not waiting:
                    self._dirty.discard(content_id)
                    continue
                for name, follower in waiting:
                    total = len(swarm.log)
                    wait = seconds_until_told(now - follower.at, total - follower.told, total)
                    if wait <= 0:
                        urgent.append((content_id, name))
                    else:
                        due = min(due, now + wait)
            return urgent, due - now

    def _put(self, content_id: str, peer: str) -> None:
        """On its stream; without one it hears when it asks the next time."""
        with self._lock:
            follower = self._follower(content_id, peer)
            if follower is not None and follower.put is not None:
                pieces = self._untold(content_id, peer)
                follower.put(Availability(pieces, others=follower.introductions()))


@dataclass(frozen=True, slots=True)
class Subscription:
    """A stream's side of what a peer is told of a content."""

    exchange: Exchange
    content_id: str
    peer: str
    first: Availability
    """What it sends first."""
    put: Put
    goes_on: bool
    """Whether there will be more; not where enough others follow."""

    def again(self) -> Availability | None:
        """What it sends after :data:`REPEAT` seconds; it may take time. None: its end."""
        return self.exchange.again(self.content_id, self.peer)

    def close(self) -> None:
        """It sends nothing any more."""
        self.exchange.unsubscribe(self.content_id, self.peer, self.put)
