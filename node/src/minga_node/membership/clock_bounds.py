"""Records and digests that may be true, in form and in number; those that may not are left out and counted.

Nobody is blamed for passing one on: a node of another release, or with another clock, may have let it pass.

Epochs and heartbeats follow the clock, and a node goes one beyond what others claim to know of it: without a
bound one forged digest near the largest integer would leave no room.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime

from minga_node.index.log import LARGEST_INTEGER
from minga_node.membership.forms import digest_problem, record_problem
from minga_node.membership.scuttlebutt import Digest
from minga_node.metrics import GOSSIP_REFUSED
from minga_node.model import Peer

OLDEST = 1_704_067_200.0
"""Seconds since 1970, of the year 2024: no clock that is right shows an earlier time."""
_BEGAN = time.time_ns() - time.monotonic_ns()
AHEAD_MS = 10 * 366 * 86_400_000
"""How far a clock may be ahead of this one. The bound moves with time, so there is always room above what was
accepted: a renewed epoch, or a next heartbeat, is one more."""


def digest_fits(digest: Digest) -> bool:
    """Whether a digest may be true."""
    return _counted(digest_problem(digest) is None, "record") and _counted(
        _fit(digest.epoch, digest.heartbeat, digest.started)
        and digest.version <= LARGEST_INTEGER
        and digest.compacted <= LARGEST_INTEGER
    )


def record_fits(peer: Peer) -> bool:
    """Whether a record may be true; its signature is checked elsewhere."""
    return _counted(record_problem(peer) is None, "record") and _counted(_fit(peer.epoch, peer.started))


def why_not(peer: Peer) -> str | None:
    """The reason why a record cannot be true, in words; None where it may be."""
    if problem := record_problem(peer):
        return problem
    if _fit(peer.epoch, peer.started):
        return None
    here, there = time.time(), max(peer.epoch / 1e6, peer.started / 1e3)
    return (
        f"the clocks of this node ({_day(here)}) and of {peer.id} ({_day(there)}) are years apart: "
        f"{'this one' if here < OLDEST else 'one of them'} is wrong"
    )


def _day(seconds: float) -> str:
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d")
    except (ValueError, OverflowError, OSError):
        return "beyond the calendar"


def word_fits(epoch: int, heartbeat: int) -> bool:
    """The same of a goodbye, and of whatever else has an epoch and a heartbeat."""
    return _counted(_fit(epoch, heartbeat))


def _fit(epoch: int, *beats: int) -> bool:
    latest = _latest()
    return epoch <= latest * 1_000 and max(beats) <= latest


def _latest() -> int:
    """Milliseconds since 1970, of the latest time that is believed."""
    # Where somebody sets this clock back, the others are not ahead of it.
    return max(time.time_ns(), _BEGAN + time.monotonic_ns()) // 1_000_000 + AHEAD_MS


def clock_problem(now: float) -> str | None:
    """Why this node's own clock cannot be right, whatever others say; None if it can. ``now``: in seconds."""
    if now >= OLDEST:
        return None
    return f"this node's clock shows {_day(now)}, which cannot be: set it"


def _counted(fits: bool, why: str = "future") -> bool:
    if not fits:
        GOSSIP_REFUSED.labels(why).inc()
    return fits
