"""Volumes of pods: claims that stay with a pod's name, or room that goes with the pod."""

from __future__ import annotations

from minga_operator.network import quantity
from minga_operator.podspec import Storage
from minga_operator.resources.common import Object

VOLUME = "data"
_HEADROOM, _LEAST_HEADROOM = 20, 8 << 20
"""What a node leaves free of an emptyDir: this part of it, at least that many bytes, at most half of all.

The kubelet evicts the pod that exceeds it, and counts also what the node writes without having counted it
before: its own journal, and the blocks that files are rounded up to.
"""


def claim_spec(storage: Storage) -> Object:
    """Spec of a PersistentVolumeClaim."""
    spec: Object = {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": str(storage.size)}},
    }
    if storage.storage_class_name is not None:
        spec["storageClassName"] = storage.storage_class_name
    return spec


def claim_templates(storage: Storage) -> list[Object]:
    """A StatefulSet's ``volumeClaimTemplates``; none for ephemeral storage."""
    if storage.ephemeral:
        return []
    return [
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": VOLUME},
            "spec": claim_spec(storage),
        }
    ]


def pod_volumes(storage: Storage, *, stateful: bool) -> list[Object]:
    """The volume in a pod's spec; a DaemonSet has no claim templates: its volumes go with the pods."""
    if storage.ephemeral:
        return [{"name": VOLUME, "emptyDir": {"sizeLimit": str(storage.size)}}]
    if stateful:
        return []
    return [{"name": VOLUME, "ephemeral": {"volumeClaimTemplate": {"spec": claim_spec(storage)}}}]


def limit(storage: Storage) -> int:
    """Bytes that a node may keep on it."""
    size = quantity(storage.size)
    if not storage.ephemeral:
        return size
    return size - min(size // 2, max(size // _HEADROOM, _LEAST_HEADROOM))
