"""Volumes of pods: claims that stay with a pod's name, or room that goes with the pod."""

from __future__ import annotations

from minga_operator.podspec import Storage
from minga_operator.resources.common import Object

VOLUME = "data"


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
