"""One operator at a time, by a Lease (coordination.k8s.io), as client-go's leader election does it.

The `kubernetes` package brings an election too; its thread dies of the first request that gets no answer,
and then two operators could lead.
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
from minga_operator.kinds import Kind
from minga_operator.kube import Conflict, Kube
from minga_operator.resources.common import Object

LEASE = Kind("coordination.k8s.io/v1", "Lease", "leases", ours=False)
LEASE_SECONDS, RENEW_SECONDS, RETRY_SECONDS = 15, 10, 2
_log = logging.getLogger(__name__)


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
    """Takes a lease and keeps it."""

    def __init__(self, kube: Kube, namespace: str, name: str, identity: str) -> None:
        self._kube, self._identity = kube, identity
        self._namespace, self._name = namespace, name
        self._seen = Seen()
        self._stopped = threading.Event()

    def wait(self) -> None:
        """Returns when the lease is ours."""
        while not self._try():
            time.sleep(RETRY_SECONDS)
        metrics.LEADER.set(1)
        _log.info("leading as %s", self._identity)

    def keep(self, lost: Callable[[], None]) -> None:
        """Renews in the background; calls ``lost`` when that failed for longer than others wait."""
        threading.Thread(target=self._renew, args=(lost,), name="lease", daemon=True).start()

    def release(self) -> None:
        """Lets another operator take over at once."""
        self._stopped.set()
        try:
            found = self._kube.find(LEASE, self._namespace, self._name)
            if found is not None and found["spec"].get("holderIdentity") == self._identity:
                found["spec"] |= {"holderIdentity": "", "leaseDurationSeconds": 1}
                self._put(found)
        except OperatorError as error:
            _log.info("the lease was not released: %s", error)

    def _renew(self, lost: Callable[[], None]) -> None:
        renewed = time.monotonic()
        while not self._stopped.wait(RETRY_SECONDS):
            if self._try():
                renewed = time.monotonic()
            elif time.monotonic() - renewed > RENEW_SECONDS and not self._stopped.is_set():
                lost()
                return

    def _try(self) -> bool:
        try:
            found = self._kube.find(LEASE, self._namespace, self._name)
            moment = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
            if found is None:
                self._kube.create(LEASE, self._new(moment))
                return True
            spec = found["spec"]
            if not may_take(spec, self._identity, self._seen, time.monotonic()):
                return False
            if spec.get("holderIdentity") != self._identity:
                spec["acquireTime"] = moment
                spec["leaseTransitions"] = int(spec.get("leaseTransitions") or 0) + 1
            spec |= {
                "holderIdentity": self._identity,
                "leaseDurationSeconds": LEASE_SECONDS,
                "renewTime": moment,
            }
            self._put(found)
        except Conflict:
            return False
        except OperatorError as error:
            _log.warning("the lease: %s", error)
            return False
        return True

    def _put(self, lease: Object) -> None:
        # The resource version is in it: of two that try, one gets a conflict.
        self._kube.request("PUT", LEASE.path(self._namespace, self._name), lease)

    def _new(self, moment: str) -> Object:
        return {
            "apiVersion": LEASE.api_version,
            "kind": LEASE.name,
            "metadata": {"name": self._name, "namespace": self._namespace},
            "spec": {
                "holderIdentity": self._identity,
                "leaseDurationSeconds": LEASE_SECONDS,
                "acquireTime": moment,
                "renewTime": moment,
                "leaseTransitions": 0,
            },
        }
