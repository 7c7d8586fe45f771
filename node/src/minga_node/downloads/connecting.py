"""Whom a running download looks for, connects to and follows."""

from __future__ import annotations

import threading

from minga_node import tracing
from minga_node.downloads.asking import Asking
from minga_node.downloads.model import Availability, AvailabilityFollowing, DownloadNetwork
from minga_node.downloads.neighbours import Neighbour
from minga_node.downloads.session import DownloadSession
from minga_node.fetching import HolderConnection, IoThreads, PartialFile
from minga_node.wire import TokenBucket


class Connecting:
    """Finds neighbours, opens connections to them and hears their news.

    Args:
        session: it decides; its lock is never held here.
        asking: what is told of all that comes.
        partial: where pieces go.
        receiving: by whom they are taken in.
        trace: the parent of the connections' spans, as a traceparent.
    """

    def __init__(
        self,
        session: DownloadSession,
        asking: Asking,
        partial: PartialFile,
        receiving: IoThreads,
        *,
        name: str,
        network: DownloadNetwork,
        limiter: TokenBucket,
        trace: str,
    ) -> None:
        self._session, self._asking = session, asking
        self._partial, self._receiving = partial, receiving
        self._name, self._network, self._limiter, self._trace = name, network, limiter, trace

    def look_for_holders(self, now: float) -> None:
        """Takes in who has the content by now, and connects to some if there are too few neighbours."""
        holders = self._network.holders(self._session.manifest.id)
        for neighbour in self._session.holders_found(holders, now):
            self._start_following(neighbour)
        self.connect_more(now)

    def connect_more(self, now: float) -> None:
        """Connects to some more of the known nodes, if there are too few neighbours."""
        unknown = self._session.unknown()
        found = [peer for name in unknown if (peer := self._network.find(name)) is not None]
        chosen, count = self._session.choose(now, found)
        started = []
        for neighbour in chosen:
            connections = self._connections(neighbour, count)
            self._session.connected(neighbour, list(connections), now)
            started += connections
        for connection in started:
            connection.start()
        if started:
            self._asking.pump()

    def _connections(self, neighbour: Neighbour, neighbours: int) -> list[HolderConnection]:
        """Connections to be started."""
        remote = self._network.remote(neighbour.peer)
        # Two connections hash on two cores where there is hardly anybody else to receive from.
        connections = 2 if neighbours <= 2 and self._session.manifest.pieces > 8 else 1
        return [
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

    def _start_following(self, neighbour: Neighbour) -> None:
        """What is heard comes on another thread, as does the stream's end, maybe before it is known here."""
        manifest = self._session.manifest
        if manifest.pieces == 1:
            return
        opened: list[AvailabilityFollowing] = []
        ended = threading.Event()

        def end() -> None:
            ended.set()
            if opened:
                self._session.following_ended(neighbour, opened[0])

        following = self._network.follow(
            neighbour.peer, manifest.id, manifest.pieces, lambda news: self._hear(neighbour, news), end
        )
        opened.append(following)
        if not self._session.followed(neighbour, following):
            following.close()
        elif ended.is_set():
            self._session.following_ended(neighbour, following)

    def _hear(self, neighbour: Neighbour, news: Availability) -> None:
        self._asking.on_heard(neighbour.peer.id, news.pieces)
        if news.others:
            self._asking.on_met(news.others)
