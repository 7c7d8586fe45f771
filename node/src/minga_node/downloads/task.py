"""One download while it runs: its swarm, its connections, its place on the disk."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from minga_node import metrics, tracing
from minga_node.downloads.exchange import Exchange
from minga_node.downloads.model import Availability, Cancelled, Following, Network, held_back_by
from minga_node.errors import (
    MingaError,
    NotFound,
    PeerMisbehaved,
    PeerUnreachable,
    VerificationFailed,
)
from minga_node.manifest import Manifest
from minga_node.model import Peer
from minga_node.swarm import Ask, Outcome, Swarm, Why, choose_neighbours
from minga_node.swarm import pieces as sets
from minga_node.swarm.pieces import Pieces
from minga_node.transfer import PartialFile, Receiver, Remote, TokenBucket
from minga_node.transfer.http import parse_pieces

log = logging.getLogger(__name__)

TICK = 0.1
LOOK = 1.0
"""Seconds between looks for new holders."""
RETRY = 0.5
LONGEST_RETRY = 15.0
DISK_SHARE = 0.5
"""Of a receiver's time: what it spends writing beyond this makes the disk the reason why it is not faster."""
IN = {kind: metrics.BYTES.labels("in", kind) for kind in ("seed", "peer")}
RECEIVED = {
    Outcome.NEW: metrics.PIECES.labels("verified"),
    Outcome.DUPLICATE: metrics.PIECES.labels("duplicate"),
}
CORRUPT = 2
"""Wrong pieces after which a holder is not asked again."""


@dataclass(slots=True, eq=False)
class _Neighbour:
    """A node that this download exchanges pieces with, or would."""

    peer: Peer
    complete: bool
    receivers: list[Receiver] = field(default_factory=list)
    following: Following | None = None
    corrupt: int = 0
    failures: int = 0
    retry_at: float = 0.0
    bytes: int = 0
    pieces: Pieces = 0
    """Those that came from it."""

    @property
    def connected(self) -> bool:
        return bool(self.receivers)


class Task:
    """Fetches one content into its partial file. :meth:`run` blocks until it is complete, failed or
    cancelled.
    """

    def __init__(
        self,
        content_id: str,
        *,
        name: str,
        directory: Path,
        network: Network,
        exchange: Exchange,
        limiter: TokenBucket,
        known_manifest: Manifest | None,
        keep_manifest: Callable[[Manifest], None],
    ) -> None:
        self.content_id = content_id
        self._name, self._directory, self._network = name, directory, network
        self._exchange, self._limiter = exchange, limiter
        self._keep_manifest = keep_manifest
        self.manifest = known_manifest
        self.partial: PartialFile | None = None
        self.swarm: Swarm | None = None
        self.lock = threading.Lock()
        self.changed = threading.Condition(self.lock)
        """Notified when pieces arrive and at the end."""
        self._neighbours: dict[str, _Neighbour] = {}
        self._introduced: dict[str, Peer] = {}
        self._followers: set[str] = set()
        self._cancelled = False
        self._finishing = False
        self._random = random.Random()
        self._wake = threading.Event()
        self.problem = ""
        self.duplicate_bytes = 0
        self.corrupt_pieces = 0
        self.stalls = 0
        self.last_piece = time.monotonic()
        self._trace = ""

    @property
    def ended(self) -> bool:
        """Nothing more will come."""
        return self._finishing

    # the life of a task

    def run(self) -> PartialFile:
        """Returns the complete partial file, synced and with no writer left.

        Raises:
            Cancelled: see :meth:`cancel`.
            MingaError: it cannot go on (the disk; nothing else ends a download).
        """
        self._trace = tracing.traceparent()
        try:
            with tracing.span("find manifest"):
                manifest = self._find_manifest()
            partial = PartialFile(self._directory, manifest)
            with self.lock:
                self.manifest, self.partial = manifest, partial
                self.swarm = Swarm(manifest.pieces, have=partial.have, seed=self._random.getrandbits(32))
                self.changed.notify_all()
            self._fetch()
            partial.sync()
            return partial
        finally:
            self._finish()

    def cancel(self) -> None:
        self._cancelled = True
        self._wake.set()

    def _find_manifest(self) -> Manifest:
        manifest = self.manifest
        pause = RETRY
        while manifest is None:
            self._check()
            self.problem = Why.NO_HOLDER
            for peer, _ in self._random_order(self._network.holders(self.content_id)):
                try:
                    manifest = self._network.manifest(peer, self.content_id)
                    break
                except (PeerUnreachable, PeerMisbehaved, NotFound, VerificationFailed) as error:
                    self.problem = f"manifest: {error}"
            else:
                self._wait(pause)
                pause = min(2 * pause, LONGEST_RETRY / 3)
        self._keep_manifest(manifest)
        self.problem = ""
        return manifest

    def _random_order(self, holders: Iterable[tuple[Peer, bool]]) -> list[tuple[Peer, bool]]:
        order = list(holders)
        self._random.shuffle(order)
        return sorted(order, key=lambda holder: not holder[1])

    def _fetch(self) -> None:
        swarm = self.swarm
        assert swarm is not None
        look_at = 0.0
        while not swarm.complete:
            self._check()
            now = time.monotonic()
            if now >= look_at:
                self._look_for_holders(now)
                look_at = now + LOOK
            self._pump()
            self._wait(TICK)

    def _check(self) -> None:
        if self._cancelled:
            raise Cancelled

    def _wait(self, seconds: float) -> None:
        self._wake.wait(seconds)
        if not self._cancelled:
            self._wake.clear()

    def _finish(self) -> None:
        with self.lock:
            self._finishing = True
            neighbours = list(self._neighbours.values())
            self.changed.notify_all()
        for neighbour in neighbours:
            if neighbour.following:
                neighbour.following.close()
            for receiver in list(neighbour.receivers):
                receiver.close()
                receiver.join(5.0)

    # neighbours

    def introduce(self, peer: Peer, *, follows: bool = False) -> None:
        """Another node is in this swarm, and maybe takes pieces from here."""
        with self.lock:
            known = self._followers if follows else self._introduced
            if peer.id == self._name or peer.id in known or self._finishing:
                return
            self._introduced[peer.id] = peer
            if follows:
                self._followers.add(peer.id)
        self._connect_more(time.monotonic())

    def _look_for_holders(self, now: float) -> None:
        holders = self._network.holders(self.content_id)
        with self.lock:
            for peer, complete in holders:
                known = self._neighbours.get(peer.id)
                if known is None:
                    self._neighbours[peer.id] = _Neighbour(peer, complete)
                else:
                    known.peer = peer
                    if complete and not known.complete:
                        known.complete = True
                        if known.connected:
                            self._give(known, 0)
            for neighbour in self._neighbours.values():
                if neighbour.connected and not neighbour.complete and neighbour.following is None:
                    self._start_following(neighbour)
        self._connect_more(now)

    def _connect_more(self, now: float) -> None:
        """Connects to some more of the known nodes, if there are too few neighbours."""
        with self.lock:
            if self._finishing or self.swarm is None or self.partial is None or self.swarm.complete:
                return
            for peer in self._introduced.values():
                if peer.id not in self._neighbours:
                    self._neighbours[peer.id] = _Neighbour(peer, False)
            known = {
                peer_id: neighbour
                for peer_id, neighbour in self._neighbours.items()
                if neighbour.corrupt < CORRUPT and neighbour.retry_at <= now
            }
            current = [peer_id for peer_id, neighbour in self._neighbours.items() if neighbour.connected]
            complete = [peer_id for peer_id, neighbour in self._neighbours.items() if neighbour.complete]
            chosen = choose_neighbours(known, complete, current, self._random, followers=self._followers)
            started = []
            for peer_id in chosen:
                started += self._connect(self._neighbours[peer_id], len(chosen) + len(current))
        for receiver in started:
            receiver.start()
        if started:
            self._pump()

    def _connect(self, neighbour: _Neighbour, neighbours: int) -> list[Receiver]:
        """Receivers to be started; the lock is held."""
        assert self.partial is not None
        assert self.manifest is not None
        remote = Remote(neighbour.peer.id, neighbour.peer.host, neighbour.peer.data_port)
        # Two connections hash on two cores where there is hardly anybody else to receive from.
        connections = 2 if neighbours <= 2 and self.manifest.pieces > 8 else 1
        neighbour.receivers = [
            Receiver(
                remote,
                self.partial,
                self,
                name=self._name,
                limiter=self._limiter,
                span=tracing.span("fetch", "client", {"minga.peer": remote.peer_id}, parent=self._trace),
            )
            for _ in range(connections)
        ]
        self._give(neighbour, 0, depth=2 * connections)
        if neighbour.following is None:
            self._start_following(neighbour)
        return list(neighbour.receivers)

    def _start_following(self, neighbour: _Neighbour) -> None:
        assert self.manifest is not None
        if self.manifest.pieces > 1:
            following: list[Following] = []

            def end() -> None:
                with self.lock:
                    if following and neighbour.following is following[0]:
                        neighbour.following = None

            following.append(
                self._network.follow(
                    neighbour.peer,
                    self.content_id,
                    self.manifest.pieces,
                    lambda news: self._hear(neighbour, news),
                    end,
                )
            )
            neighbour.following = following[0]

    def _give(self, neighbour: _Neighbour, pieces: Pieces, depth: int = 2) -> None:
        assert self.swarm is not None
        self.swarm.set_holder(neighbour.peer.id, pieces, complete=neighbour.complete, depth=depth)

    def _hear(self, neighbour: _Neighbour, news: Availability) -> None:
        with self.lock:
            if self._finishing or self.swarm is None:
                return
            if news.complete:
                neighbour.complete = True
                if neighbour.connected:
                    self._give(neighbour, 0)
                useful = True
            else:
                useful = self.swarm.add_pieces(neighbour.peer.id, news.pieces)
        for peer in news.peers:
            self.introduce(peer)
        if useful:
            self._pump()

    def heard(self, peer_id: str, pieces: str) -> None:
        """A peer's request said what it has."""
        if self.manifest is not None:
            self.on_heard(peer_id, parse_pieces(pieces, self.manifest.pieces))

    def has(self, peer_id: str) -> Pieces:
        """What a neighbour is known to have."""
        with self.lock:
            return self.swarm.has(peer_id) if self.swarm is not None else 0

    # asking and receiving

    def _pump(self) -> None:
        """Sends what the swarm wants asked now."""
        with self.lock:
            if self._finishing or self.swarm is None:
                return
            todo = []
            for ask in self.swarm.schedule(time.monotonic()):
                receivers = self._neighbours[ask.holder].receivers
                if receivers:
                    todo.append((min(receivers, key=lambda receiver: receiver.load), ask))
                else:
                    self.swarm.finished(ask.id)
        refused = [ask for receiver, ask in todo if not receiver.ask(ask)]
        if refused:
            with self.lock:
                for ask in refused:
                    self.swarm.finished(ask.id)

    def news(self, peer_id: str) -> Pieces:
        return self._exchange.news(self.content_id, peer_id)

    def on_heard(self, peer_id: str, pieces: Pieces) -> None:
        with self.lock:
            useful = self.swarm is not None and self.swarm.add_pieces(peer_id, pieces)
        if useful:
            self._pump()

    def on_chosen(self, ask: Ask, pieces: range) -> None:
        with self.lock:
            assert self.swarm is not None
            self.swarm.chosen(ask.id, pieces, time.monotonic())

    def on_piece(self, ask: Ask, piece: int, *, last: bool) -> None:
        assert self.manifest is not None
        assert self.swarm is not None
        start, end = self.manifest.span(piece)
        with self.lock:
            neighbour = self._neighbours[ask.holder]
            neighbour.bytes += end - start
            neighbour.failures = 0
            self.last_piece = time.monotonic()
            outcome = self.swarm.received(ask.id, piece, self.last_piece)
            if last:
                self.swarm.finished(ask.id)
            if outcome is Outcome.NEW:
                neighbour.pieces |= 1 << piece
            if outcome is Outcome.DUPLICATE:
                self.duplicate_bytes += end - start
                metrics.WASTED.labels("duplicate").inc(end - start)
            complete = self.swarm.complete
            self.changed.notify_all()
        IN["seed" if neighbour.peer.seed else "peer"].inc(end - start)
        RECEIVED[outcome].inc()
        if outcome is Outcome.NEW:
            self._exchange.announce(self.content_id, piece)
        if complete:
            self._wake.set()
        else:
            self._pump()

    def on_finished(self, ask: Ask) -> None:
        with self.lock:
            assert self.swarm is not None
            self.swarm.finished(ask.id)
        self._pump()

    def on_refused(self, ask: Ask, retry_after: float) -> None:
        with self.lock:
            assert self.swarm is not None
            self.swarm.refused(ask.id, time.monotonic(), retry_after)
        self._pump()

    def on_lacking(self, ask: Ask) -> None:
        with self.lock:
            assert self.swarm is not None
            self.swarm.lacks(ask.holder, sets.of(piece for pieces in ask.candidates for piece in pieces))
            self.swarm.finished(ask.id)
        self._pump()

    def on_closed(self, receiver: Receiver, error: MingaError | None) -> None:
        """What was asked on the connection may be asked again; the holder gets another chance later."""
        with self.lock:
            neighbour = self._neighbours[receiver.remote.peer_id]
            if receiver in neighbour.receivers:
                neighbour.receivers.remove(receiver)
            if self.swarm is not None:
                for ask in receiver.unanswered():
                    self.swarm.finished(ask.id)
                if not neighbour.receivers:
                    self.swarm.remove_holder(neighbour.peer.id)
            if isinstance(error, VerificationFailed):
                neighbour.corrupt += 1
                self.corrupt_pieces += 1
                metrics.PIECES.labels("corrupt").inc()
                metrics.WASTED.labels("corrupt").inc(self.manifest.piece_size if self.manifest else 0)
                log.warning("%s (wrong %d times)", error, neighbour.corrupt)
            elif error is not None:
                self.stalls += 1
                metrics.STALLS.inc()
                log.debug("%s", error)
            if error is not None:
                neighbour.failures += 1
                pause = min(LONGEST_RETRY, RETRY * 2 ** min(neighbour.failures - 1, 8))
                neighbour.retry_at = time.monotonic() + pause
                if not neighbour.receivers and neighbour.following is not None:
                    # With the next connection everything is told anew.
                    neighbour.following.close()
                    neighbour.following = None
            finishing = self._finishing
        if not finishing:
            self._pump()

    # what it tells

    def why(self) -> str:
        with self.lock:
            if self.problem or self.swarm is None:
                return self.problem
            if self.partial is not None and self.partial.disk.share() > DISK_SHARE:
                return str(Why.DISK)
            why = self.swarm.why(time.monotonic())
            if why is Why.RUNNING:
                return held_back_by(self._limiter) or str(why)
            if why is Why.NO_HOLDER and any(n.corrupt >= CORRUPT for n in self._neighbours.values()):
                return "no holder that sends what the id says"
            return str(why)

    def progress(self) -> tuple[Pieces, float, int, dict[str, int]]:
        """Pieces here, bytes a second, connected holders, bytes by peer."""
        with self.lock:
            if self.swarm is None or self.manifest is None:
                return 0, 0.0, 0, {}
            sources = {peer_id: n.bytes for peer_id, n in self._neighbours.items() if n.bytes}
            rate = self.swarm.rate(time.monotonic()) * self.manifest.piece_size
            return self.swarm.have, rate, len(self.swarm.holders()), sources

    def origins(self) -> dict[str, Pieces]:
        """The pieces that are here, by the peer that sent them; under "" those from an earlier process."""
        with self.lock:
            if self.swarm is None:
                return {}
            found = {peer_id: n.pieces for peer_id, n in self._neighbours.items() if n.pieces}
            before = self.swarm.have
            for pieces in found.values():
                before &= ~pieces
            return {**found, "": before} if before else found

    def prefer(self, pieces: Pieces) -> None:
        """A reader waits for these."""
        with self.lock:
            if self.swarm is not None:
                self.swarm.preferred = pieces & self.swarm.missing
        self._pump()
