"""Lets volumes grow before their StatefulSet is made anew; a size that cannot be stays as it is."""

from __future__ import annotations

from minga_operator import metrics, resizing
from minga_operator.cache import Cache
from minga_operator.errors import OperatorError, Refused, StorageRefused
from minga_operator.events import Events
from minga_operator.kinds import CLAIM, STATEFUL_SET
from minga_operator.kube import Kube
from minga_operator.network import Network
from minga_operator.podspec import Storage
from minga_operator.resources import Object, common


class VolumeClaims:
    """Patches claims."""

    def __init__(self, kube: Kube, cache: Cache, events: Events) -> None:
        self._kube, self._cache, self._events = kube, cache, events

    def resize(self, network: Network) -> tuple[Network, OperatorError | None, int]:
        """The network with storage that can be, why some cannot, and how many claims were patched."""
        error: OperatorError | None = None
        writes = 0
        for component, storage in _groups(network):
            live, found = self._decide(network, component, storage)
            if found.keep is not None:
                error = StorageRefused(f"the pods of {network.name}-{component}: their files {found.why}")
                network = resizing.keeping(network, component, found.keep)
            try:
                writes += self._grow(network, found)
            except Refused as refused:
                error = StorageRefused(f"the volumes of {network.name}-{component} cannot grow: {refused}")
                kept = storage.model_copy(update={"size": resizing.present(live)})
                network = resizing.keeping(network, component, kept)
        return network, error, writes

    def pending(self, network: Network) -> tuple[Network, list[str]]:
        """The same without a write: the network with storage that can be, and which claims would grow."""
        notes: list[str] = []
        for component, storage in _groups(network):
            _, found = self._decide(network, component, storage)
            if found.keep is not None:
                network = resizing.keeping(network, component, found.keep)
            notes += [f"PersistentVolumeClaim {name}: {found.size}" for name in found.grow]
        return network, notes

    def _decide(
        self, network: Network, component: str, storage: Storage
    ) -> tuple[Object | None, resizing.Resize]:
        live = self._cache.get(STATEFUL_SET, network.key, f"{network.name}-{component}")
        return live, resizing.decide(storage, live, self._cache.of(CLAIM, network.key))

    def _grow(self, network: Network, resize: resizing.Resize) -> int:
        request = {"spec": {"resources": {"requests": {"storage": resize.size}}}}
        for name in resize.grow:
            self._cache.put(self._kube.merge(CLAIM, network.namespace, name, request))
            metrics.WRITES.labels("PersistentVolumeClaim", "patch").inc()
            self._events.post(network, "Normal", "VolumeGrows", "Resize", f"{name} is to have {resize.size}")
        return len(resize.grow)


def _groups(network: Network) -> list[tuple[str, Storage]]:
    spec = network.spec
    found = [(common.SEED, spec.seeds.storage)]
    if spec.peers.mode == "StatefulSet":
        found.append((common.PEER, spec.peers.storage))
    if spec.broker.managed is not None:
        found.append((common.BROKER, spec.broker.managed.storage))
    return found
