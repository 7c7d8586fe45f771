"""Who tells whom which pieces became available.

News travel in the headers of requests and answers that go to a peer anyway; what has waited longer than a
moment (:mod:`minga_node.swarm.news`) goes there in a small request of its own, if there is a connection for
pieces, and on the peer's gRPC stream otherwise. So the n² streams of a busy swarm of n nodes are hardly used.
"""

from __future__ import annotations

import queue
import random
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from minga_node.downloads.model import Availability
from minga_node.errors import NotFound
from minga_node.model import Peer
from minga_node.swarm import pieces as sets
from minga_node.swarm.news import seconds_until_told
from minga_node.swarm.pieces import Pieces

REPEAT = 5.0
"""Seconds after which a stream repeats everything, in case a header got lost with its connection."""
LOOK = 0.1
"""Seconds after which new pieces may have made news urgent."""
INTRODUCTIONS = 16
"""Others that one who comes is told of, and that are told of it."""
INTRODUCE = 0.5
"""Seconds for which introductions are collected: n nodes that begin at once make n³ of them, and who comes
later looks for those before it anyway."""
FOLLOWERS = 64


@dataclass(slots=True, eq=False)
class _Follower:
    peer: Peer
    told: int
    """How much of the log it knows."""
    at: float
    others: list[Peer] = field(default_factory=list)
    """Those it is to be told of."""
    box: queue.SimpleQueue[Availability | None] = field(default_factory=queue.SimpleQueue)


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
        on_follower: Callable[[str, Peer], None] = lambda *_: None,
        on_heard: Callable[[str, str, str], None] = lambda *_: None,
        has: Callable[[str, str], Pieces] = lambda *_: 0,
        tell: Callable[[str, str], bool] = lambda *_: False,
    ) -> None:
        self._available, self._on_follower, self._on_heard = available, on_follower, on_heard
        self.has, self._tell = has, tell
        self._swarms: dict[str, _Swarm] = {}
        self._lock = threading.Lock()
        self._dirty: set[str] = set()
        self._introduce_at: float | None = None
        self._news = threading.Condition(self._lock)
        self._stopped = False
        self._random = random.Random()
        self._thread = threading.Thread(target=self._run, name="exchange", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Ends all streams."""
        with self._news:
            self._stopped = True
            for swarm in self._swarms.values():
                for follower in swarm.followers.values():
                    follower.box.put(None)
            self._news.notify_all()
        if self._thread.is_alive():
            self._thread.join(5)

    # the piece listener's and the receivers' side (see transfer.Gossip)

    def heard(self, content_id: str, peer: str, pieces: str) -> None:
        self._on_heard(content_id, peer, pieces)

    def news(self, content_id: str, peer: str) -> Pieces:
        """What became available here and the peer has not been told; now it counts as told."""
        with self._lock:
            return self._untold(content_id, peer)[0]

    def _untold(self, content_id: str, peer: str) -> tuple[Pieces, _Follower | None]:
        """The lock is held."""
        swarm = self._swarms.get(content_id)
        follower = swarm.followers.get(peer) if swarm else None
        if swarm is None or follower is None or follower.told == len(swarm.log):
            return 0, None
        pieces = sets.of(swarm.log[follower.told :])
        follower.told, follower.at = len(swarm.log), time.monotonic()
        return pieces, follower

    # the downloads' side

    def announce(self, content_id: str, piece: int) -> None:
        """A piece has been verified here."""
        with self._news:
            swarm = self._swarms.get(content_id)
            if swarm is None:
                return
            swarm.log.append(piece)
            # Once awake the thread looks again by itself; waking it at every piece would cost more than that.
            if not self._dirty:
                self._news.notify()
            self._dirty.add(content_id)

    def forget(self, content_id: str) -> None:
        """Nobody needs to follow this content here any more."""
        with self._lock:
            swarm = self._swarms.pop(content_id, None)
            for follower in swarm.followers.values() if swarm else ():
                follower.box.put(None)

    def followers(self, content_id: str) -> int:
        with self._lock:
            swarm = self._swarms.get(content_id)
            return len(swarm.followers) if swarm else 0

    # the gRPC server's side

    def follow(self, content_id: str, peer: Peer) -> Iterator[Availability]:
        """Everything that is here, then what becomes available, until the caller stops asking.

        Raises:
            NotFound: nothing of the content is here or comes here.
        """
        here = self._available(content_id)
        if here is None:
            raise NotFound(f"nothing of {content_id} is here")
        with self._lock:
            swarm = self._swarms.setdefault(content_id, _Swarm())
            # What comes between the two looks is in both, which does no harm.
            follower = _Follower(peer, len(swarm.log), time.monotonic())
            others = [other for other in swarm.followers.values() if other.peer.id != peer.id]
            shown = self._random.sample(others, min(INTRODUCTIONS, len(others)))
            for other in shown:
                other.others.append(peer)
            if shown and self._introduce_at is None:
                self._introduce_at = time.monotonic() + INTRODUCE
                self._news.notify()
            replaced = swarm.followers.pop(peer.id, None)
            if replaced:
                replaced.box.put(None)
            crowded = len(swarm.followers) >= FOLLOWERS or self._stopped
            if not crowded:
                swarm.followers[peer.id] = follower
        here = self._available(content_id) or here
        yield self._everything(here, tuple(other.peer for other in shown))
        self._on_follower(content_id, peer)
        if crowded:
            return
        try:
            yield from self._stream(content_id, follower)
        finally:
            with self._lock:
                if swarm.followers.get(peer.id) is follower:
                    del swarm.followers[peer.id]
                if not swarm.followers and self._swarms.get(content_id) is swarm:
                    del self._swarms[content_id]

    def _stream(self, content_id: str, follower: _Follower) -> Iterator[Availability]:
        repeat = time.monotonic() + REPEAT
        while True:
            try:
                message = follower.box.get(timeout=max(0.0, repeat - time.monotonic()))
            except queue.Empty:
                here = self._available(content_id)
                if here is None:
                    return
                repeat = time.monotonic() + REPEAT
                message = self._everything(here, ())
            if message is None:
                return
            yield message

    def _everything(self, here: tuple[Pieces, int], peers: tuple[Peer, ...]) -> Availability:
        pieces, count = here
        return Availability(pieces, pieces == sets.all_pieces(count), peers, everything=True)

    def _run(self) -> None:
        """Tells what no header has carried in time."""
        while True:
            urgent, wait = self._urgent()
            for content_id, peer in urgent:
                if not self._tell(content_id, peer):
                    self._put(content_id, peer)
            with self._news:
                if self._stopped:
                    return
                self._news.wait(min(wait, LOOK) if self._dirty else wait)

    def _urgent(self) -> tuple[list[tuple[str, str]], float]:
        """Who has to be told now, and seconds until it is somebody else's turn."""
        with self._lock:
            now = time.monotonic()
            due, urgent = now + self._introduce(now), []
            for content_id in list(self._dirty):
                swarm = self._swarms.get(content_id)
                waiting = [f for f in swarm.followers.values() if f.told < len(swarm.log)] if swarm else []
                if swarm is None or not waiting:
                    self._dirty.discard(content_id)
                    continue
                for follower in waiting:
                    total = len(swarm.log)
                    wait = seconds_until_told(now - follower.at, total - follower.told, total)
                    if wait <= 0:
                        urgent.append((content_id, follower.peer.id))
                    else:
                        due = min(due, now + wait)
            return urgent, due - now

    def _introduce(self, now: float) -> float:
        """Tells followers of each other when it is time; seconds until then, or many. The lock is held."""
        if self._introduce_at is not None and now >= self._introduce_at:
            self._introduce_at = None
            for swarm in self._swarms.values():
                for follower in swarm.followers.values():
                    if follower.others:
                        follower.box.put(Availability(0, peers=tuple(follower.others)))
                        follower.others = []
        return 60.0 if self._introduce_at is None else self._introduce_at - now

    def _put(self, content_id: str, peer: str) -> None:
        """On its stream."""
        with self._lock:
            pieces, follower = self._untold(content_id, peer)
            if follower is not None:
                follower.box.put(Availability(pieces))
