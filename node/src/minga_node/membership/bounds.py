"""Numbers that no node comes to by itself.

Epochs and heartbeats follow the clock, and a node goes one beyond what others claim to know of it: without a
bound one forged digest near the largest integer would leave no room.
"""

from __future__ import annotations

import time

from minga_node.index.entries import LARGEST
from minga_node.membership.scuttlebutt import Digest
from minga_node.metrics import GOSSIP_REFUSED
from minga_node.model import Peer

AHEAD_MS = 10 * 366 * 86_400_000
"""That a clock may be ahead of this one. The bound moves with time, so there is always room above what was
accepted: a renewed epoch, or a next heartbeat, is one more."""


def digest_fits(digest: Digest) -> bool:
    """Whether a digest's numbers may be true; counts those that may not. Nobody is blamed for passing one on:
    another clock may have let it pass."""
    return _counted(
        _fit(digest.epoch, digest.heartbeat, digest.started)
        and digest.version <= LARGEST
        and digest.compacted <= LARGEST
    )


def record_fits(peer: Peer) -> bool:
    """The same of a record."""
    return _counted(_fit(peer.epoch, peer.started))


def word_fits(epoch: int, heartbeat: int) -> bool:
    """The same of a goodbye, and of whatever else has an epoch and a heartbeat."""
    return _counted(_fit(epoch, heartbeat))


def _fit(epoch: int, *beats: int) -> bool:
    latest = time.time_ns() // 1_000_000 + AHEAD_MS
    return epoch <= latest * 1_000 and max(beats) <= latest


def _counted(fits: bool) -> bool:
    if not fits:
        GOSSIP_REFUSED.labels("future").inc()
    return fits
