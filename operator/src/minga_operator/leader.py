"""One operator at a time, by a Lease (coordination.k8s.io), as client-go's leader election does it.

A renewal that gets no answer must not outlive what it renews: each try has only a part of what is left, and a
timer that asks nobody ends the leadership. Why this is not the election of the `kubernetes` package stands in
docs/operator.md.
"""

from __future__ import annotations

import datetime
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from minga_operator import metrics
from minga_operator.errors import OperatorError
from minga_operator.kinds import ObjectKind
from minga_operator.kube import Kube, WriteConflict
from minga_operator.resources.common import Object

LEASE = ObjectKind("coordination.k8s.io/v1", "Lease", "leases", ours=False)
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Times:
    """Seconds."""

    lease: int = 15
    """How long others wait after the last renewal that they have seen."""
    renew: float = 10.0
    """How long a leader goes on after it began its last renewal that succeeded; less than ``lease``."""
    retry: float = 2.0
    """Between two renewals, or two tries to lead."""
    answer: float = 3.0
    """How long one try waits for answers: a connection that is dead leaves time for another."""


@dataclass
class Seen:
    """What was seen of another's lease, and when by our own clock: clocks of machines differ."""

    stamp: tuple[str, str] = ("", "")
    since: float = 0.0


def may_take(spec: dict[str, Any], identity: str, seen: Seen, now: float) -> bool:
    """Whether a lease is ours, free, or was not renewed for as long as it says."""
    holder = spec.get("holderIdentity") or ""
    stamp = (holder, str(spec.get("renewTime") or ""))
    if stamp != seen.stamp:
        seen.stamp, seen.since = stamp, now
    return holder in {"", identity} or now - seen.since > float(spec.get("leaseDurationSeconds") or 0)


class Election:
    """Takes a lease and keeps it.

    Args:
        kube: of its own: writes of the one that leads may be guarded by :meth:`leads`.
    """

    def __init__(
        self,
        kube: Kube,
        namespace: str,
        name: str,
        identity: str,
        times: Times = Times(),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._kube, self._identity = kube, identity
        self._namespace, self._name = namespace, name
        self._times, self._clock = times, clock
        self._seen = Seen()
        self._until = float("-inf")
        self._stopped = threading.Event()
        self._threads: list[threading.Thread] = []

    def wait(self, stop: threading.Event, another: Callable[[], None] = lambda: None) -> bool:
        """Returns when the lease is ours, or False when told to stop; calls ``another`` while one leads."""
        while not stop.is_set():
            if self._try(self._times.answer, another):
                metrics.LEADER.set(1)
                _log.info("leading as %s", self._identity)
                return True
            stop.wait(self._times.retry)
        return False

    def leads(self) -> bool:
        """Whether the lease is ours now."""
        return self._clock() < self._until

    def keep(self, lost: Callable[[], None]) -> None:
        """Renews in the background; calls ``lost``, once, before others may take the lease."""
        self._threads = [
            threading.Thread(target=self._renew, name="lease", daemon=True),
            threading.Thread(target=self._expire, args=(lost,), name="lease-timer", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def dead(self) -> str:
        """Which threads have ended though nobody asked them to; empty when none."""
        ended = [thread.name for thread in self._threads if not thread.is_alive()]
        return f"ended: {', '.join(ended)}" if ended and not self._stopped.is_set() else ""

    def release(self) -> None:
        """Lets another operator take over at once."""
        self._stopped.set()
        try:
            found = self._kube.find(LEASE, self._namespace, self._name, self._times.answer)
            if found is not None and found["spec"].get("holderIdentity") == self._identity:
                found["spec"] |= {"holderIdentity": "", "leaseDurationSeconds": 1}
                self._put(found, self._times.answer)
        except OperatorError as error:
            _log.info("the lease was not released: %s", error)

    def _renew(self) -> None:
        while not self._stopped.wait(self._times.retry):
            left = self._until - self._clock()
            if left > 0:
                self._try(min(left, self._times.answer))

    def _expire(self, lost: Callable[[], None]) -> None:
        """A timer, whatever a renewal is waiting for."""
        while (left := self._until - self._clock()) > 0:
            if self._stopped.wait(left):
                return
        if not self._stopped.is_set():
            lost()

    def _try(self, seconds: float, another: Callable[[], None] = lambda: None) -> bool:
        """Takes or renews the lease, in two requests that have so long together."""
        began = self._clock()
        try:
            found = self._kube.find(LEASE, self._namespace, self._name, seconds)
            moment = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
            left = max(0.1, seconds - (self._clock() - began))
            if found is None:
                self._kube.create(LEASE, self._new(moment), left)
            else:
                if not may_take(found["spec"], self._identity, self._seen, self._clock()):
                    another()
                    return False
                self._put(self._renewed(found, moment), left)
        except WriteConflict:
            return False
        except OperatorError as error:
            _log.warning("the lease: %s", error)
            return False
        # Counted from before the request: others count from when they see it, which is later.
        self._until = began + self._times.renew
        return True

    def _renewed(self, lease: Object, moment: str) -> Object:
        spec = lease["spec"]
        if spec.get("holderIdentity") != self._identity:
            spec["acquireTime"] = moment
            spec["leaseTransitions"] = int(spec.get("leaseTransitions") or 0) + 1
        spec |= {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": self._times.lease,
            "renewTime": moment,
        }
        return lease

    def _put(self, lease: Object, seconds: float) -> None:
        # The resource version is in it: of two that try, one gets a conflict.
        self._kube.request("PUT", LEASE.path(self._namespace, self._name), lease, seconds=seconds)

    def _new(self, moment: str) -> Object:
        return {
            "apiVersion": LEASE.api_version,
            "kind": LEASE.name,
            "metadata": {"name": self._name, "namespace": self._namespace},
            "spec": {
                "holderIdentity": self._identity,
                "leaseDurationSeconds": self._times.lease,
                "acquireTime": moment,
                "renewTime": moment,
                "leaseTransitions": 0,
            },
        }
