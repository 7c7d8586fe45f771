"""Whether peers do what they say: who claims entries must bring them, who cheats is not heard."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping

from minga_node.errors import Forged, PeerMisbehaved
from minga_node.index.log import Logs
from minga_node.membership.messages import Reconciled
from minga_node.membership.scuttlebutt import Digest
from minga_node.membership.trust import Trust
from minga_node.metrics import GOSSIP_REFUSED
from minga_node.model import Peer

log = logging.getLogger(__name__)

MOST_PEERS = 20_000
PATIENT_SECONDS = 60.0
PATIENCE = 20
"""Rounds in which a caller may claim a version without sending anything of it."""


class PeerConduct:
    """Counts what each peer did wrong, and says who is not heard for a while.

    Args:
        forget: closes the connection to a target.
    """

    def __init__(
        self, logs: Logs, forget: Callable[[str], None], clock: Callable[[], float] = time.monotonic
    ):
        self._logs, self._forget, self._clock = logs, forget, clock
        self._trust = Trust()
        self._owed: dict[str, tuple[int, int]] = {}
        self._patient_until = 0.0

    def refused(self, peer_id: str) -> bool:
        """Whether a peer is not heard at the moment."""
        return self._trust.refused(peer_id, self._clock())

    def check_answer(self, peer: Peer, claimed: Iterable[Digest], answer: Reconciled) -> None:
        """An answer that names a version has to bring it, or say that there is more."""
        if answer.more:
            return
        sent = {delta.peer_id for delta in answer.deltas}
        for digest in claimed:
            if (
                digest.version > self.held(digest)
                and not digest.unproven
                and digest.id not in sent
                and digest.id != self._logs.self_id
            ):
                self.doubt(peer, f"claims version {digest.version} of {digest.id} and does not send it")

    def check_caller(self, sender: Peer, wanted: Iterable[Digest], theirs: Mapping[str, Digest]) -> None:
        """A caller that names versions has to push some of them when it is asked to.

        Any progress of the index counts for it: logs come in any order, and a catch-up takes many rounds.

        Raises:
            PeerMisbehaved: it had patience enough.
        """
        owing = [digest.id for digest in wanted if theirs[digest.id].version > digest.version]
        if not owing:
            self._owed.pop(sender.id, None)
            return
        if self._clock() < self._patient_until:
            self._owed.pop(sender.id, None)
            return
        held = sum(state.version for state in self._logs.states().values())
        before, times = self._owed.get(sender.id, (-1, 0))
        times = times + 1 if before == held else 0
        if len(self._owed) > MOST_PEERS:
            self._owed.clear()
        self._owed[sender.id] = (held, times)
        if times >= PATIENCE:
            self._owed.pop(sender.id)
            raise PeerMisbehaved(f"claims entries of {owing[0]} and never sends them")

    def be_patient(self) -> None:
        """What is lacking comes, or waits, in a stream: nobody owes it for a while."""
        self._patient_until = self._clock() + PATIENT_SECONDS

    def excuse(self, peer: Peer) -> None:
        """A peer could not be asked for what it claims."""
        self._owed.pop(peer.id, None)

    def held(self, digest: Digest) -> int:
        """The version this node has of the log that a digest speaks of."""
        state = self._logs.state(digest.id)
        return state.version if state is not None and state.epoch >= digest.epoch else 0

    def doubt(self, peer: Peer, why: str) -> None:
        """Something that an honest peer may do once or twice."""
        GOSSIP_REFUSED.labels("claim").inc()
        if self._trust.strike(peer.id, self._clock()):
            log.warning("%s %s: not heard for a while", peer.id, why)
            self._forget(peer.grpc_target)

    def blame(self, peer: Peer, error: PeerMisbehaved) -> None:
        """Something that no honest peer does."""
        GOSSIP_REFUSED.labels("forged" if isinstance(error, Forged) else "protocol").inc()
        self._trust.strike(peer.id, self._clock(), certain=True)
        log.warning("%s breaks the protocol (%s): not heard for a while", peer.id, error)
        self._forget(peer.grpc_target)
