"""Who may speak in whose name: records of nodes are signed, and a name keeps its key while its node lives."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from enum import Enum

from minga_node.errors import Forged
from minga_node.index.log import Keys, statement, verified
from minga_node.metrics import GOSSIP_REFUSED
from minga_node.model import Peer

ASK_SECONDS = 1.0
"""Between two questions whether the node that a name belongs to still lives."""
MOST_CLAIMS = 1_000

_RECORD = b"minga peer 1"


class IdentityVerdict(Enum):
    KNOWN = "the name's own key, or none where none is known"
    FIRST = "the first key that is heard of this name"
    CONTESTED = "another key than the name's"


def record_statement(network: str, peer: Peer) -> bytes:
    """What a node signs of its addresses."""
    return statement(
        _RECORD, network, peer.id, peer.epoch, peer.host, peer.rest_port, peer.grpc_port, peer.data_port,
        peer.seed, peer.version, peer.started, peer.key,
    )  # fmt: skip


class Identities:
    """Judges records, and remembers who claims a name that is another's. Thread-safe."""

    def __init__(self, keys: Keys, network: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._keys, self._network, self._clock = keys, network, clock
        self._lock = threading.Lock()
        self._own = Peer("", 0, "", 0, 0, 0)
        self._proven: dict[str, Peer] = {}
        """The last record of each peer whose signature was checked: most come again and again."""
        self._claims: dict[str, Peer] = {}
        self._asked: dict[str, float] = {}

    def sign(self, peer: Peer) -> Peer:
        """This node's own record."""
        bare = replace(peer, key=self._keys.own.key, signature=b"")
        with self._lock:
            if replace(self._own, signature=b"") != bare:
                self._own = replace(
                    bare, signature=self._keys.own.sign(record_statement(self._network, bare))
                )
            return self._own

    def judge(self, peer: Peer) -> IdentityVerdict:
        """Whether a record may stand for the node that it names.

        Raises:
            Forged: that node did not sign it.
        """
        if peer.key and self._proven.get(peer.id) != peer:
            if not verified(peer.key, peer.signature, record_statement(self._network, peer)):
                raise Forged(f"a record of {peer.id[:128]!r} that it did not sign")
            with self._lock:
                if len(self._proven) > 20_000:
                    self._proven.clear()
                self._proven[peer.id] = peer
        known = self._keys.get(peer.id)
        if known is None:
            return IdentityVerdict.FIRST if peer.key else IdentityVerdict.KNOWN
        if known == peer.key:
            return IdentityVerdict.KNOWN
        GOSSIP_REFUSED.labels("key").inc()
        with self._lock:
            if len(self._claims) < MOST_CLAIMS:
                self._claims[peer.id] = peer
        return IdentityVerdict.CONTESTED

    def signed_by_self(self, peer: Peer) -> bool:
        """Whether this node's own key signed a record."""
        return peer.key == self._keys.own.key and verified(
            peer.key, peer.signature, record_statement(self._network, peer)
        )

    def signs(self, peer_id: str) -> bool:
        return self._keys.get(peer_id) is not None

    @property
    def any_contested(self) -> bool:
        return bool(self._claims)

    def contested(self) -> list[Peer]:
        """Records with another key than their name's whose name's node should be asked now."""
        now = self._clock()
        with self._lock:
            self._asked = {id_: at for id_, at in self._asked.items() if now - at < ASK_SECONDS}
            due = [claim for id_, claim in self._claims.items() if id_ not in self._asked]
            for claim in due:
                self._asked[claim.id] = now
                del self._claims[claim.id]
        return due

    def lives(self, claim: Peer, answer: Peer | None) -> bool:
        """Whether who answers at a name's known address is still the node that the name belongs to."""
        if answer is None or answer.id != claim.id or answer.key != self._keys.get(claim.id):
            return False
        return not answer.key or verified(
            answer.key, answer.signature, record_statement(self._network, answer)
        )
