"""Writes the status of exactly one network, not of a later one of its name."""

from __future__ import annotations

from minga_operator import metrics
from minga_operator.errors import Refused, Unavailable
from minga_operator.kinds import NETWORK
from minga_operator.known import Known
from minga_operator.kube import Kube, WriteConflict
from minga_operator.resources.common import Object
from minga_operator.workqueue import Key

_TRIES = 3


class Statuses:
    """Threads may share it."""

    def __init__(self, kube: Kube, known: Known) -> None:
        self._kube, self._known = kube, known

    def write(self, key: Key, uid: str, patch: Object) -> bool:
        """Merges a patch into the status; returns whether that network is still there.

        A uid is no help: the API server takes no notice of it in a patch of the status, so that a network
        made meanwhile would get the status of the one before. The version is checked.

        Raises:
            Refused, Unavailable
        """
        body = self._known.body(key)
        for _ in range(_TRIES):
            if body is None or body["metadata"]["uid"] != uid:
                self._known.gone(key, uid)
                return False
            version = body["metadata"]["resourceVersion"]
            content = {"metadata": {"resourceVersion": version}, "status": patch}
            try:
                answer = self._kube.merge(NETWORK, *key, content, part="status")
            except WriteConflict:
                # The spec was changed, perhaps: the status says of which generation it is.
                body = self._kube.find(NETWORK, *key)
                if body is not None:
                    self._known.told(body)
            except Refused as refused:
                if refused.status != 404:
                    raise
                body = None
            else:
                metrics.WRITES.labels(NETWORK.name, "status").inc()
                self._known.answered(answer)
                return True
        raise Unavailable(f"P2PNetwork {key[1]} changes faster than its status can be written")
