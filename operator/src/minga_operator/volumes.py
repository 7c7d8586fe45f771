"""Lets volumes grow before their StatefulSet is made anew; a size that cannot be stays as it is."""

from __future__ import annotations

from minga_operator import metrics, resizing
from minga_operator.cache import Cache
from minga_operator.errors import OperatorError, Refused, StorageRefused
from minga_operator.events import Events
from minga_operator.kinds import CLAIM, STATEFUL_SET
from minga_operator.kube import Kube
from minga_operator.network import Network
from minga_operator.resources import common


class Volumes:
    """Patches claims."""

    def __init__(self, kube: Kube, cache: Cache, events: Events) -> None:
        self._kube, self._cache, self._events = kube, cache, events

    def resize(self, network: Network) -> tuple[Network, OperatorError | None, int]:
        """The network with sizes that can be, why one cannot, and how many claims were patched."""
        error: OperatorError | None = None
        writes, managed = 0, network.spec.broker.managed
        groups = {common.SEED: network.spec.seeds.storage, common.PEER: network.spec.peers.storage}
        if managed is not None:
            groups[common.BROKER] = managed.storage
        for component, storage in groups.items():
            live = self._cache.get(STATEFUL_SET, network.key, f"{network.name}-{component}")
            found = resizing.decide(storage, live, self._cache.of(CLAIM, network.key))
            if found.keep:
                error = StorageRefused(
                    f"the volumes of {network.name}-{component} have {found.keep}"
                    f" and cannot shrink to {storage.size}"
                )
                network = resizing.keeping(network, component, found.keep)
            try:
                writes += self._grow(network, found)
            except Refused as refused:
                error = StorageRefused(f"the volumes of {network.name}-{component} cannot grow: {refused}")
                network = resizing.keeping(network, component, resizing.present(live))
        return network, error, writes

    def _grow(self, network: Network, resize: resizing.Resize) -> int:
        request = {"spec": {"resources": {"requests": {"storage": resize.size}}}}
        for name in resize.grow:
            self._cache.put(self._kube.merge(CLAIM, network.namespace, name, request))
            metrics.WRITES.labels("PersistentVolumeClaim", "patch").inc()
            self._events.post(network, "Normal", "VolumeGrows", "Resize", f"{name} is to have {resize.size}")
        return len(resize.grow)
