"""What a running download asks its neighbours for, and what it makes of the answers."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from minga_node import metrics
from minga_node.downloads.exchange import Exchange
from minga_node.downloads.neighbours import Neighbours
from minga_node.errors import MingaError, VerificationFailed
from minga_node.fetching import HolderConnection
from minga_node.manifest import Manifest
from minga_node.swarm import Outcome, PieceFetch, Swarm
from minga_node.wire import piece_set as sets
from minga_node.wire.piece_set import Pieces

log = logging.getLogger(__name__)

IN = {kind: metrics.BYTES.labels("in", kind) for kind in ("seed", "peer")}
RECEIVED = {
    Outcome.NEW: metrics.PIECES.labels("verified"),
    Outcome.DUPLICATE: metrics.PIECES.labels("duplicate"),
}


@dataclass(slots=True, eq=False)
class Tally:
    """What went wrong, and when it last went well."""

    duplicate_bytes: int = 0
    corrupt_pieces: int = 0
    stalls: int = 0
    last_piece: float = field(default_factory=time.monotonic)
    """When a piece came, or the download began; :func:`time.monotonic`."""


class Asking:
    """Sends what the swarm decides, and is the listener of all receivers.

    Args:
        changed: its lock guards the swarm, the neighbours and the tally; notified when pieces arrive.
        wake: called without the lock when the last piece is here, and when there are others to connect to.
    """

    def __init__(
        self,
        manifest: Manifest,
        swarm: Swarm,
        neighbours: Neighbours,
        tally: Tally,
        *,
        lock: threading.Lock,
        changed: threading.Condition,
        exchange: Exchange,
        wake: Callable[[], None],
    ) -> None:
        self.manifest, self.swarm, self.neighbours = manifest, swarm, neighbours
        self.lock, self._changed = lock, changed
        self._tally, self._exchange, self._wake = tally, exchange, wake
        self._rate = 0
        """Bytes a second, when something was asked last; requests are written without the lock."""

    def pump(self) -> None:
        """Sends what the swarm wants asked now."""
        with self.lock:
            if self.neighbours.over:
                return
            todo = []
            now = time.monotonic()
            for ask in self.swarm.schedule(now):
                receivers = self.neighbours.known[ask.holder].receivers
                if receivers:
                    todo.append((min(receivers, key=lambda receiver: receiver.load), ask))
                else:
                    self.swarm.finished(ask.id)
            if todo:
                self._rate = int(self.swarm.rate.known(now) * self.manifest.piece_size)
        refused = [ask for receiver, ask in todo if not receiver.ask(ask)]
        if refused:
            with self.lock:
                for ask in refused:
                    self.swarm.finished(ask.id)

    def tell(self, peer_id: str) -> bool:
        """Tells a peer on its connection what is new here; False if there is none."""
        with self.lock:
            neighbour = self.neighbours.known.get(peer_id)
            receivers = list(neighbour.receivers) if neighbour is not None else []
        return any(receiver.tell() for receiver in receivers)

    def prefer(self, pieces: Pieces) -> None:
        """A reader waits for these."""
        with self.lock:
            self.swarm.preferred = pieces & self.swarm.missing
        self.pump()

    # what receivers tell: see :class:`minga_node.fetching.holder_connection.Listener`

    def news(self, peer_id: str) -> Pieces:
        return self._exchange.news(self.manifest.id, peer_id)

    def rate(self) -> int:
        return self._rate

    def on_heard(self, peer_id: str, pieces: Pieces) -> None:
        now = time.monotonic()
        with self.lock:
            neighbour = self.neighbours.known.get(peer_id)
            if neighbour is not None:
                neighbour.heard_at = now
                neighbour.denied &= not pieces
                if pieces == sets.all_pieces(self.manifest.pieces):
                    neighbour.complete = True
            useful = self.swarm.add_pieces(peer_id, pieces, now)
        if useful:
            self.pump()

    def on_met(self, others: tuple[str, ...]) -> None:
        with self.lock:
            strangers = self.neighbours.introduce(others)
        if strangers:
            self._wake()

    def on_chosen(self, ask: PieceFetch, pieces: range) -> None:
        with self.lock:
            self.swarm.chosen(ask.id, pieces, time.monotonic())

    def on_piece(self, ask: PieceFetch, piece: int, *, last: bool) -> None:
        start, end = self.manifest.span(piece)
        with self.lock:
            neighbour = self.neighbours.known[ask.holder]
            neighbour.bytes += end - start
            neighbour.failures = 0
            neighbour.denied = False
            now = neighbour.heard_at = self._tally.last_piece = time.monotonic()
            outcome = self.swarm.received(ask.id, piece, now)
            if last:
                self.swarm.finished(ask.id)
            if outcome is Outcome.NEW:
                neighbour.pieces |= 1 << piece
            if outcome is Outcome.DUPLICATE:
                self._tally.duplicate_bytes += end - start
                metrics.WASTED.labels("duplicate").inc(end - start)
            complete = self.swarm.complete
            vain = self.swarm.asked_in_vain(piece) if outcome is Outcome.NEW and not complete else ()
            self._changed.notify_all()
        IN["seed" if neighbour.peer.seed else "peer"].inc(end - start)
        RECEIVED[outcome].inc()
        if outcome is Outcome.NEW:
            self._exchange.announce(self.manifest.id, piece)
        for holder in vain:
            self.tell(holder)
        if complete:
            self._wake()
        else:
            self.pump()

    def on_finished(self, ask: PieceFetch) -> None:
        with self.lock:
            self.swarm.finished(ask.id)
        self.pump()

    def on_refused(self, ask: PieceFetch, retry_after: float) -> None:
        with self.lock:
            self.swarm.refused(ask.id, time.monotonic(), retry_after)
        self.pump()

    def on_lacking(self, ask: PieceFetch, *, gone: bool) -> None:
        asked = sets.of(piece for pieces in ask.candidates for piece in pieces)
        with self.lock:
            self.swarm.lacks(ask.holder, sets.all_pieces(self.manifest.pieces) if gone else asked)
            self.swarm.finished(ask.id)
            self.neighbours.known[ask.holder].denied |= gone
        self.pump()

    def on_closed(self, receiver: HolderConnection, error: MingaError | None) -> None:
        """What was asked on the connection may be asked again; the holder gets another chance later."""
        with self.lock:
            neighbour = self.neighbours.known[receiver.remote.peer_id]
            if receiver in neighbour.receivers:
                neighbour.receivers.remove(receiver)
            for ask in receiver.unanswered():
                self.swarm.finished(ask.id)
            if not neighbour.receivers:
                self.swarm.remove_holder(neighbour.peer.id)
            if isinstance(error, VerificationFailed):
                neighbour.lied(time.monotonic())
                self._tally.corrupt_pieces += 1
                metrics.PIECES.labels("corrupt").inc()
                metrics.WASTED.labels("corrupt").inc(self.manifest.piece_size)
                log.warning("%s (wrong %d times)", error, neighbour.corrupt)
            elif error is not None:
                self._tally.stalls += 1
                metrics.STALLS.inc()
                log.debug("%s", error)
            if error is not None:
                neighbour.failed(time.monotonic())
                if not neighbour.receivers and neighbour.following is not None:
                    # With the next connection everything is told anew.
                    neighbour.following.close()
                    neighbour.following = None
            over = self.neighbours.over
        if not over:
            self.pump()
