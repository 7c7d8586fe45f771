"""One download while it runs: from its manifest to the last piece on the disk."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterable
from pathlib import Path

from minga_node import tracing
from minga_node.capacity import Capacity
from minga_node.downloads.asking import Asking
from minga_node.downloads.connecting import Connecting
from minga_node.downloads.doubt import Doubt
from minga_node.downloads.exchange import Exchange
from minga_node.downloads.model import Cancelled, DownloadNetwork, GaveUp, held_back_by
from minga_node.downloads.neighbours import Neighbours
from minga_node.downloads.past import Carried
from minga_node.downloads.prospects import NOBODY_HONEST
from minga_node.downloads.session import DownloadSession, Tally
from minga_node.downloads.turns import Signs
from minga_node.errors import Busy, NotFound, PeerMisbehaved, PeerUnreachable, VerificationFailed
from minga_node.fetching import IoThreads, PartialFile
from minga_node.manifest import Manifest
from minga_node.manifests import Manifests
from minga_node.model import Peer
from minga_node.streams import Changes
from minga_node.swarm import Swarm, Why
from minga_node.wire import TokenBucket
from minga_node.wire.http import parse_pieces
from minga_node.wire.piece_set import Pieces

TICK = 0.1
LOOK = 1.0
"""Seconds between looks for new holders."""
DISK_SHARE = 0.5
"""Of a receiver's time: what it spends writing beyond this makes the disk the reason why it is not faster."""


class Task:
    """One attempt to fetch a content into its partial file. :meth:`run` blocks until it is complete, failed,
    cancelled or has given up; then :meth:`hang_up`.

    Args:
        carried: what the attempt before this one left.
    """

    def __init__(
        self,
        content_id: str,
        *,
        name: str,
        directory: Path,
        network: DownloadNetwork,
        exchange: Exchange,
        capacity: Capacity,
        limiter: TokenBucket,
        manifests: Manifests,
        carried: Carried,
    ) -> None:
        self.content_id = content_id
        self._name, self._directory, self._network = name, directory, network
        self._exchange, self._capacity, self._limiter = exchange, capacity, limiter
        self._manifests = manifests
        self.manifest: Manifest | None = None
        self.left = carried.left
        """How the partial file was closed last."""
        self.partial: PartialFile | None = None
        self.swarm: Swarm | None = None
        self.lock = threading.Lock()
        self.changed = Changes(self.lock)
        """Notified when pieces arrive and at the end."""
        self._random = random.Random()
        self._neighbours = Neighbours(name, self._random, carried.lies, carried.introduced)
        self._asking: Asking | None = None
        """There from when the manifest is known, together with ``partial`` and ``swarm``."""
        self.tally = Tally()
        self._denied: set[str] = set()
        """Who does not even have the manifest."""
        self._cancelled = self._leaving = False
        self._receiving = IoThreads()
        self._wake = threading.Event()
        self._problem = ""
        self.opening = False
        """Whether it looks at what is here already."""

    @property
    def ended(self) -> bool:
        """Nothing more will come."""
        return self._neighbours.over

    # the life of a task

    def run(self) -> PartialFile:
        """Returns the complete partial file, synced. Nobody writes to it any more, since all of it is here.

        Raises:
            Cancelled: see :meth:`cancel`.
            GaveUp: see :meth:`leave`; or there is nobody to get anything from.
            MingaError: it cannot go on (the disk; nothing else ends a download).
        """
        try:
            with tracing.span("find manifest"):
                manifest = self._find_manifest()
            self.opening = True
            partial = PartialFile(self._directory, manifest, self._capacity, self.left)
            self.opening = False
            swarm = Swarm(manifest.pieces, have=partial.have, seed=self._random.getrandbits(32))
            session = DownloadSession(
                manifest, swarm, self._neighbours, self.tally, lock=self.lock, changed=self.changed
            )
            asking = Asking(session, exchange=self._exchange, wake=self._wake.set)
            connecting = Connecting(
                session,
                asking,
                partial,
                self._receiving,
                name=self._name,
                network=self._network,
                limiter=self._limiter,
                trace=tracing.traceparent(),
            )
            with self.lock:
                self.manifest, self.partial, self.swarm = manifest, partial, swarm
                self._asking = asking
                self.changed.notify_all()
            self._fetch(swarm, asking, connecting, partial)
            partial.sync()
            return partial
        finally:
            with self.lock:
                self._neighbours.over = True
                self.changed.notify_all()

    def cancel(self) -> None:
        """Has it end: nobody wants it any more, or the node stops."""
        self._cancelled = True
        self._wake.set()

    def leave(self) -> None:
        """Has it give its slot up, with all that it has open."""
        self._leaving = True
        self._wake.set()

    @property
    def leaving(self) -> bool:
        """Whether it was told to leave."""
        return self._leaving

    def _find_manifest(self) -> Manifest:
        manifest = self._manifests.get(self.content_id)
        if manifest is None:
            manifest = self._ask_for_manifest()
            self._manifests.put(manifest)
        self.manifest = manifest
        self._problem = ""
        return manifest

    def _ask_for_manifest(self) -> Manifest:
        """Each holder once.

        Raises:
            GaveUp: none of them gives it.
        """
        self._problem = Why.NO_HOLDER
        for peer, _ in self._random_order(self._network.holders(self.content_id)):
            self._check()
            try:
                return self._network.manifest(peer, self.content_id)
            except NotFound as error:
                self._denied.add(peer.id)
                self._problem = f"manifest: {error}"
            except (Busy, PeerUnreachable, PeerMisbehaved, VerificationFailed) as error:
                self._problem = f"manifest: {error}"
        raise GaveUp

    def _random_order(self, holders: Iterable[tuple[Peer, bool]]) -> list[tuple[Peer, bool]]:
        order = list(holders)
        self._random.shuffle(order)
        return sorted(order, key=lambda holder: not holder[1])

    def _fetch(self, swarm: Swarm, asking: Asking, connecting: Connecting, partial: PartialFile) -> None:
        look_at = 0.0
        if not swarm.complete:
            connecting.look_for_holders(time.monotonic())
            look_at = time.monotonic() + LOOK
        reserving = partial.reserve()
        while not swarm.complete:
            self._check()
            next(reserving, None)
            now = time.monotonic()
            if now >= look_at:
                connecting.look_for_holders(now)
                look_at = now + LOOK
            else:
                self._meet_strangers(connecting)
            asking.pump()
            with self.lock:
                self._neighbours.hunger.feels(swarm.starved(now))
                hopeful = self._neighbours.hopeful
            if not hopeful and not swarm.complete:
                raise GaveUp
            self._wait(TICK)

    def _meet_strangers(self, connecting: Connecting) -> None:
        if self._neighbours.strangers:
            connecting.connect_more(time.monotonic())

    def _check(self) -> None:
        if self._cancelled:
            raise Cancelled
        if self._leaving:
            raise GaveUp

    def _wait(self, seconds: float) -> None:
        self._wake.wait(seconds)
        if not self._cancelled and not self._leaving:
            self._wake.clear()

    def hang_up(self) -> None:
        """Ends all connections, after :meth:`run`; no writer is left then."""
        with self.lock:
            neighbours = list(self._neighbours.known.values())
            receivers = [receiver for neighbour in neighbours for receiver in neighbour.receivers]
        for neighbour in neighbours:
            if neighbour.following:
                neighbour.following.close()
        for receiver in receivers:
            receiver.close()
        self._receiving.stop(5.0)

    # what others say

    def met(self, name: str) -> None:
        """Another node follows what comes here."""
        with self.lock:
            stranger = self._neighbours.introduce((name,), follow=True)
        if stranger:
            self._wake.set()

    def heard(self, peer_id: str, pieces: str) -> None:
        """A peer's request said what it has."""
        asking = self._asking
        if asking is not None:
            asking.on_heard(peer_id, parse_pieces(pieces, asking.manifest.pieces))

    def tell(self, peer_id: str) -> bool:
        """Tells a peer what is new here; False if it has to be told in another way."""
        asking = self._asking
        return asking is not None and asking.tell(peer_id)

    def has(self, peer_id: str) -> Pieces:
        """What a neighbour is known to have."""
        # Of one moment, without the lock, which holds up the answer to a peer.
        swarm = self.swarm
        return swarm.has(peer_id) if swarm is not None else 0

    def prefer(self, pieces: Pieces) -> None:
        """A reader waits for these."""
        asking = self._asking
        if asking is not None:
            asking.prefer(pieces)

    # what it tells

    def why(self) -> str:
        """Why it is not faster, in words."""
        with self.lock:
            if self._problem or self.swarm is None:
                return str(self._problem)
            if self.partial is not None and self.partial.disk.share() > DISK_SHARE:
                return str(Why.DISK)
            why = self.swarm.why(time.monotonic())
            if why is Why.RUNNING:
                return held_back_by(self._limiter) or str(why)
            if not self._neighbours.hopeful or why is Why.NO_HOLDER:
                return NOBODY_HONEST if self._neighbours.corrupt else str(Why.NO_HOLDER)
            return str(why)

    def signs(self, now: float) -> Signs:
        """How it stands, for whoever decides whether it keeps its slot."""
        with self.lock:
            verified_at = self.tally.last_piece
            if self.swarm is None:
                return Signs(verified_at, moves=False, held=self.opening)
            why = self.swarm.why(now)
            held = why is Why.COMPLETE or bool(held_back_by(self._limiter))
            if self.partial is not None and self.partial.disk.share() > DISK_SHARE:
                held = True
            return Signs(verified_at, moves=why in {Why.RUNNING, Why.CHOKED}, held=held)

    def carried(self, before: Carried) -> Carried:
        """What the next attempt should know, after :meth:`run` and once its partial file is closed."""
        left = self.partial.left if self.partial is not None else before.left
        return Carried(left, self._neighbours.lies())

    def heard_of_holders(self, doubt: Doubt, now: float) -> None:
        """Tells who had some of it, and who said to have none."""
        with self.lock:
            doubt.shared_by(peer_id for peer_id, one in self._neighbours.known.items() if one.listed)
            doubt.given_by(self._neighbours.bytes())
            doubt.denied_by([*self._neighbours.denied(), *self._denied], now)

    def progress(self) -> tuple[Pieces, float, int, dict[str, int]]:
        """Pieces here, bytes a second, connected holders, bytes by peer."""
        with self.lock:
            if self.swarm is None or self.manifest is None:
                return 0, 0.0, 0, {}
            rate = self.swarm.rate.pieces(time.monotonic()) * self.manifest.piece_size
            return self.swarm.have, rate, len(self.swarm.holders()), self._neighbours.bytes()

    def origins(self) -> dict[str, Pieces]:
        """The pieces that are here, by the peer that sent them; under "" those from an earlier process."""
        with self.lock:
            if self.swarm is None:
                return {}
            return self._neighbours.origins(self.swarm.have)
