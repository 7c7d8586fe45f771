"""Whom a running download looks for, connects to and follows."""

from __future__ import annotations

from minga_node import tracing
from minga_node.downloads.asking import Asking
from minga_node.downloads.model import Availability, AvailabilityFollowing, DownloadNetwork
from minga_node.downloads.neighbours import Neighbour
from minga_node.fetching import HolderConnection, IoThreads, PartialFile
from minga_node.wire import TokenBucket
from minga_node.wire.piece_set import Pieces


class Connecting:
    """Finds neighbours, opens connections to them and hears their news.

    Args:
        asking: what is told of all that comes; its lock guards the neighbours.
        partial: where pieces go.
        receiving: by whom they are taken in.
        trace: the parent of the connections' spans, as a traceparent.
    """

    def __init__(
        self,
        asking: Asking,
        partial: PartialFile,
        receiving: IoThreads,
        *,
        name: str,
        network: DownloadNetwork,
        limiter: TokenBucket,
        trace: str,
    ) -> None:
        self._asking, self._partial, self._receiving = asking, partial, receiving
        self._manifest, self._swarm = asking.manifest, asking.swarm
        self._neighbours, self._lock = asking.neighbours, asking.lock
        self._name, self._network, self._limiter, self._trace = name, network, limiter, trace

    def look_for_holders(self, now: float) -> None:
        """Takes in who has the content by now, and connects to some if there are too few neighbours."""
        holders = self._network.holders(self._manifest.id)
        with self._lock:
            for neighbour in self._neighbours.update(holders):
                if neighbour.connected:
                    self._give(neighbour, 0)
            for neighbour in self._neighbours.connected():
                if neighbour.following is None and neighbour.silent(now):
                    self._start_following(neighbour)
        self.connect_more(now)

    def connect_more(self, now: float) -> None:
        """Connects to some more of the known nodes, if there are too few neighbours."""
        with self._lock:
            unknown = self._neighbours.unknown()
        # Without the lock: whoever looks at the downloads waits for that.
        found = [peer for name in unknown if (peer := self._network.find(name)) is not None]
        with self._lock:
            if self._neighbours.over or self._swarm.complete:
                return
            chosen = self._neighbours.choose(now, found)
            count = len(chosen) + len(self._neighbours.connected())
            started = [receiver for neighbour in chosen for receiver in self._connect(neighbour, count, now)]
        for receiver in started:
            receiver.start()
        if started:
            self._asking.pump()

    def _connect(self, neighbour: Neighbour, neighbours: int, now: float) -> list[HolderConnection]:
        """Receivers to be started; the lock is held."""
        remote = self._network.remote(neighbour.peer)
        # Two connections hash on two cores where there is hardly anybody else to receive from.
        connections = 2 if neighbours <= 2 and self._manifest.pieces > 8 else 1
        neighbour.receivers = [
            HolderConnection(
                remote,
                self._partial,
                self._asking,
                self._receiving,
                name=self._name,
                limiter=self._limiter,
                apart=apart,
                span=tracing.span("fetch", "client", {"minga.peer": remote.peer_id}, parent=self._trace),
            )
            for apart in (False, True)[:connections]
        ]
        self._give(neighbour, 0)
        neighbour.heard_at, neighbour.struck = now, False
        return list(neighbour.receivers)

    def _give(self, neighbour: Neighbour, pieces: Pieces) -> None:
        """The swarm may ask it; the lock is held."""
        self._swarm.set_holder(neighbour.peer.id, pieces, complete=neighbour.complete)

    def _start_following(self, neighbour: Neighbour) -> None:
        """The lock is held; what is heard comes on another thread."""
        if self._manifest.pieces > 1:
            following: list[AvailabilityFollowing] = []

            def end() -> None:
                with self._lock:
                    if following and neighbour.following is following[0]:
                        neighbour.following = None

            following.append(
                self._network.follow(
                    neighbour.peer,
                    self._manifest.id,
                    self._manifest.pieces,
                    lambda news: self._hear(neighbour, news),
                    end,
                )
            )
            neighbour.following = following[0]

    def _hear(self, neighbour: Neighbour, news: Availability) -> None:
        self._asking.on_heard(neighbour.peer.id, news.pieces)
        if news.others:
            self._asking.on_met(news.others)
