"""Carries out what a download's session decides: asks its neighbours, and reports their answers to it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from minga_node import metrics
from minga_node.downloads.exchange import Exchange
from minga_node.downloads.session import DownloadSession
from minga_node.errors import MingaError
from minga_node.fetching import HolderConnection
from minga_node.manifest import Manifest
from minga_node.swarm import Outcome, PieceFetch
from minga_node.wire.piece_set import Pieces

log = logging.getLogger(__name__)

IN = {kind: metrics.BYTES.labels("in", kind) for kind in ("seed", "peer")}
RECEIVED = {
    Outcome.NEW: metrics.PIECES.labels("verified"),
    Outcome.DUPLICATE: metrics.PIECES.labels("duplicate"),
}


class Asking:
    """The listener of all connections of a download. Nothing here holds the session's lock.

    Args:
        wake: called when the last piece is here, and when there are others to connect to.
    """

    def __init__(self, session: DownloadSession, *, exchange: Exchange, wake: Callable[[], None]) -> None:
        self._session, self._exchange, self._wake = session, exchange, wake

    @property
    def manifest(self) -> Manifest:
        """Of the content that is asked for."""
        return self._session.manifest

    def pump(self) -> None:
        """Sends what the session wants asked now."""
        requests = self._session.requests(time.monotonic())
        refused = [fetch for connection, fetch in requests if not connection.ask(fetch)]
        if refused:
            self._session.finished(refused)

    def tell(self, peer_id: str) -> bool:
        """Tells a peer on its connection what is new here; False if there is none."""
        return any(connection.tell() for connection in self._session.connections(peer_id))

    def prefer(self, pieces: Pieces) -> None:
        """A reader waits for these."""
        self._session.prefer(pieces)
        self.pump()

    # what connections tell: see :class:`minga_node.fetching.holder_connection.HolderListener`

    def news(self, peer_id: str) -> Pieces:
        return self._exchange.news(self.manifest.id, peer_id)

    def rate(self) -> int:
        return self._session.rate

    def on_heard(self, peer_id: str, pieces: Pieces) -> None:
        if self._session.heard(peer_id, pieces, time.monotonic()):
            self.pump()

    def on_met(self, others: tuple[str, ...]) -> None:
        if self._session.met(others):
            self._wake()

    def on_chosen(self, ask: PieceFetch, pieces: range) -> None:
        self._session.chosen(ask, pieces, time.monotonic())

    def on_piece(self, ask: PieceFetch, piece: int, *, last: bool) -> None:
        effects = self._session.verified(ask, piece, time.monotonic(), last=last)
        IN["seed" if effects.seed else "peer"].inc(effects.size)
        RECEIVED[effects.outcome].inc()
        if effects.outcome is Outcome.DUPLICATE:
            metrics.WASTED.labels("duplicate").inc(effects.size)
        if effects.outcome is Outcome.NEW:
            self._exchange.announce(self.manifest.id, piece)
        for holder in effects.asked_in_vain:
            self.tell(holder)
        if effects.complete:
            self._wake()
        else:
            self.pump()

    def on_finished(self, ask: PieceFetch) -> None:
        self._session.finished((ask,))
        self.pump()

    def on_refused(self, ask: PieceFetch, retry_after: float) -> None:
        self._session.refused(ask, time.monotonic(), retry_after)
        self.pump()

    def on_lacking(self, ask: PieceFetch, *, gone: bool) -> None:
        self._session.lacking(ask, gone=gone)
        self.pump()

    def on_closed(self, receiver: HolderConnection, error: MingaError | None) -> None:
        """What was asked on the connection may be asked again; the holder gets another chance later."""
        peer_id, unanswered = receiver.remote.peer_id, receiver.unanswered()
        effects = self._session.closed(receiver, peer_id, unanswered, error, time.monotonic())
        if effects.corrupt:
            metrics.PIECES.labels("corrupt").inc()
            metrics.WASTED.labels("corrupt").inc(self.manifest.piece_size)
            log.warning("%s (wrong %d times)", error, effects.corrupt)
        elif error is not None:
            metrics.STALLS.inc()
            log.debug("%s", error)
        if effects.unfollow is not None:
            effects.unfollow.close()
        if not effects.over:
            self.pump()
