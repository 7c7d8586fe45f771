"""Dynamic storage: a controller that gives each claim a folder of the node its pod was scheduled to.

It does for the test cluster what a local-path provisioner does: volumes of type `local` with the node's
affinity (so fsGroup works and data stays on its node), removal when released, growth where the class allows.
Nothing limits how much is written to a folder.

    python -m tests.cluster.storage CLUSTER
"""

from __future__ import annotations

import http.client
import re
import shutil
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .api import Client, Object, Refused
from .layout import Layout

PROVISIONER = "minga.dev/local"
_SELECTED_NODE = "volume.kubernetes.io/selected-node"
_PROVISIONED_BY = "pv.kubernetes.io/provisioned-by"
_UNITS = {
    "": 1,
    "k": 10**3,
    "M": 10**6,
    "G": 10**9,
    "T": 10**12,
    "Ki": 2**10,
    "Mi": 2**20,
    "Gi": 2**30,
    "Ti": 2**40,
}


def storage_classes() -> list[dict[str, Any]]:
    """`standard` is the default and can grow; `fixed` cannot, for tests of what happens then."""

    def storage_class(name: str, *, default: bool, grows: bool) -> dict[str, Any]:
        annotations = {"storageclass.kubernetes.io/is-default-class": "true"} if default else {}
        return {
            "apiVersion": "storage.k8s.io/v1",
            "kind": "StorageClass",
            "metadata": {"name": name, "annotations": annotations},
            "provisioner": PROVISIONER,
            "volumeBindingMode": "WaitForFirstConsumer",
            "reclaimPolicy": "Delete",
            "allowVolumeExpansion": grows,
        }

    return [
        storage_class("standard", default=True, grows=True),
        storage_class("fixed", default=False, grows=False),
    ]


def size(quantity: str) -> float:
    """Bytes of a Kubernetes quantity such as 10Gi; raises ValueError for a unit that storage never has."""
    found = re.fullmatch(r"([0-9.]+)([kMGT]i?|Ki|)", quantity)
    if found is None or found[2] not in _UNITS:
        raise ValueError(f"not a size: {quantity!r}")
    return float(found[1]) * _UNITS[found[2]]


def volume_for(claim: Object, node: str) -> Object:
    """The volume that answers a claim whose pod goes to `node`."""
    metadata, spec = claim["metadata"], claim["spec"]
    name = f"pvc-{metadata['uid']}"
    reference = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "uid": metadata["uid"]}
    hostname = {"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name, "annotations": {_PROVISIONED_BY: PROVISIONER}},
        "spec": {
            "capacity": {"storage": spec["resources"]["requests"]["storage"]},
            "accessModes": spec["accessModes"],
            "storageClassName": spec["storageClassName"],
            "persistentVolumeReclaimPolicy": "Delete",
            "volumeMode": "Filesystem",
            "local": {"path": f"/var/lib/volumes/{name}"},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [hostname]}]}},
            "claimRef": {**reference, "namespace": metadata["namespace"], "name": metadata["name"]},
        },
    }


class Provisioner:
    """Handles claims and volumes as they change; each step may be repeated and then changes nothing."""

    def __init__(self, client: Client, layout: Layout) -> None:
        self._client = client
        self._layout = layout
        self._classes = {each["metadata"]["name"] for each in storage_classes()}

    def claim(self, claim: Object) -> None:
        """Make the volume that a claim waits for, or let a bound one grow."""
        if (
            claim["spec"].get("storageClassName") not in self._classes
            or "deletionTimestamp" in claim["metadata"]
        ):
            return
        node = claim["metadata"].get("annotations", {}).get(_SELECTED_NODE)
        if claim["status"].get("phase") == "Bound":
            self._grow(claim)
        elif node and not claim["spec"].get("volumeName"):
            volume = volume_for(claim, node)
            folder = self._folder(volume)
            folder.mkdir(exist_ok=True)
            folder.chmod(0o777)
            try:
                self._client.create("/api/v1/persistentvolumes", volume)
            except Refused as refused:
                if refused.status != http.client.CONFLICT:
                    raise
            else:
                _say(f"{_name(claim)}: {volume['metadata']['name']} on {node}")

    def volume(self, volume: Object) -> None:
        """Remove a volume of ours, with its content, when its claim is gone."""
        ours = volume["metadata"].get("annotations", {}).get(_PROVISIONED_BY) == PROVISIONER
        keeps = volume["spec"].get("persistentVolumeReclaimPolicy") != "Delete"
        if not ours or keeps or volume["status"].get("phase") != "Released":
            return
        shutil.rmtree(self._folder(volume), ignore_errors=True)
        try:
            self._client.delete(f"/api/v1/persistentvolumes/{volume['metadata']['name']}")
        except Refused as refused:
            if refused.status != http.client.NOT_FOUND:
                raise
        else:
            _say(f"{volume['metadata']['name']}: removed")

    def _grow(self, claim: Object) -> None:
        wanted = claim["spec"]["resources"]["requests"]["storage"]
        if size(wanted) <= size(claim["status"]["capacity"]["storage"]):
            return
        metadata, capacity = claim["metadata"], {"capacity": {"storage": wanted}}
        self._client.patch(f"/api/v1/persistentvolumes/{claim['spec']['volumeName']}", {"spec": capacity})
        path = f"/api/v1/namespaces/{metadata['namespace']}/persistentvolumeclaims/{metadata['name']}/status"
        self._client.patch(path, {"status": capacity})
        _say(f"{_name(claim)}: grown to {wanted}")

    def _folder(self, volume: Object) -> Path:
        name: str = volume["metadata"]["name"]
        term = volume["spec"]["nodeAffinity"]["required"]["nodeSelectorTerms"][0]["matchExpressions"][0]
        nodes = {node.name: node for node in self._layout.nodes()}
        if re.fullmatch(r"pvc-[0-9a-f-]+", name) is None or term["values"][0] not in nodes:
            raise ValueError(f"not a volume that we made: {name}")
        return nodes[term["values"][0]].volumes / name


def _follow(client: Client, path: str, handle: Callable[[Object], None]) -> None:
    """Hand every present and future object of a collection to `handle`; after any trouble list it again."""
    while True:
        try:
            for item in client.follow(path):
                handle(item)
        except (OSError, http.client.HTTPException, Refused, ValueError) as error:
            _say(f"{path}: {error}")
            time.sleep(1)


def _name(claim: Object) -> str:
    return f"{claim['metadata']['namespace']}/{claim['metadata']['name']}"


def _say(line: str) -> None:
    print(time.strftime("%H:%M:%S"), line, flush=True)


def main(name: str) -> None:
    """Run for the cluster of that name until killed."""
    layout = Layout(name)
    client = Client(layout.pki / "storage.kubeconfig")
    provisioner = Provisioner(client, layout)
    volumes = threading.Thread(
        target=_follow, args=(client, "/api/v1/persistentvolumes", provisioner.volume), daemon=True
    )
    volumes.start()
    _follow(client, "/api/v1/persistentvolumeclaims", provisioner.claim)


if __name__ == "__main__":
    main(sys.argv[1])
