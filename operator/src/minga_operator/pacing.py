"""When a network is looked at again though the API server says nothing. Pure."""

from __future__ import annotations

from minga_operator.network import Network

_RECHECK_SECONDS = 60.0
"""How often a Secret that is not ours is looked at: it is not in any of our watches."""

_MISSING_SECONDS = 5.0
"""The same while it is missing."""

_RENEWAL_SECONDS = 3600.0
"""How often certificates of ours are looked at."""

_DRAIN_SECONDS = 2.0
"""How often draining peers are asked."""


def again(network: Network, *, draining: bool, missing: bool, soon: float | None) -> float | None:
    """Seconds until then; None where nothing can change without a word.

    Args:
        draining: whether pods hand over what only they have.
        missing: whether the broker's Secret or cluster is not there.
        soon: seconds until what pods and nodes say may be otherwise, if it may.
    """
    looks = [_recheck(network, draining=draining, missing=missing), soon]
    if network.status.get("phase") == "Degraded":
        # What does not mend itself in time is Stalled.
        looks.append(_RECHECK_SECONDS)
    return min((seconds for seconds in looks if seconds is not None), default=None)


def _recheck(network: Network, *, draining: bool, missing: bool) -> float | None:
    if draining:
        return _DRAIN_SECONDS
    if missing:
        return _MISSING_SECONDS
    spec, managed = network.spec, network.spec.broker.managed
    if spec.paused:
        return None
    theirs = managed is None or managed.credentials_secret_name is not None
    if theirs or "Secret" in {spec.access.tokens, spec.peer_tls.certificates}:
        return _RECHECK_SECONDS
    return _RENEWAL_SECONDS if spec.peer_tls.certificates == "Managed" else None
