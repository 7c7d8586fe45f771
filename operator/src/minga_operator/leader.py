"""One operator at a time, by a Lease."""

from __future__ import annotations

import logging
import os
import sys
import threading

from kubernetes.leaderelection.electionconfig import Config
from kubernetes.leaderelection.leaderelection import LeaderElection
from kubernetes.leaderelection.resourcelock.leaselock import LeaseLock

from minga_operator import metrics

_LEASE_SECONDS, _RENEW_SECONDS, _RETRY_SECONDS = 15, 10, 3
_log = logging.getLogger(__name__)


def lead(namespace: str, name: str, identity: str) -> None:
    """Returns when this process holds the lease; it ends the process if it loses it later.

    Failover takes at most the lease's 15 s and one retry of 3 s.
    """
    logging.getLogger("leaderelection").setLevel(logging.WARNING)
    leading = threading.Event()

    def lost() -> None:
        # Somebody else may lead already: nothing more may be written, so there is no orderly end.
        _log.error("the lease was lost")
        sys.stderr.flush()
        os._exit(1)

    def won() -> None:
        leading.set()
        metrics.LEADER.set(1)

    election = LeaderElection(  # type: ignore[no-untyped-call]
        Config(  # type: ignore[no-untyped-call]
            LeaseLock(name, namespace, identity),  # type: ignore[no-untyped-call]
            lease_duration=_LEASE_SECONDS,
            renew_deadline=_RENEW_SECONDS,
            retry_period=_RETRY_SECONDS,
            onstarted_leading=won,
            onstopped_leading=lost,
        )
    )
    threading.Thread(target=election.run, name="lease", daemon=True).start()
    leading.wait()
    _log.info("leading as %s", identity)
