"""A volume that was there before the network: shared as it is, and written to only where the spec says so."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest

from tests.cluster import Cluster
from tests.e2e.networks import Network, sha256_in
from tests.e2e.test_crossing import complete, download, row
from tests.waiting import wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900), pytest.mark.usefixtures("operator")]

EPHEMERAL = {"storage": {"ephemeral": True, "size": "1Gi"}}
SPEC: dict[str, Any] = {
    "seeds": EPHEMERAL,
    "peers": EPHEMERAL | {"replicas": 1},
    "broker": {"managed": EPHEMERAL},
}
CLAIM = {
    "apiVersion": "v1",
    "kind": "PersistentVolumeClaim",
    "metadata": {"name": "model-weights"},
    "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
}
FILL = """
import os, signal
os.mkdir("/volume/llama")
with open("/volume/llama/weights.bin", "xb") as file:
    file.write(os.urandom(20_000_000))
signal.pause()
"""
LOOK = """
import hashlib, json, os
found = {}
for folder, folders, files in os.walk("/volume"):
    for name in folders + files:
        path = os.path.join(folder, name)
        about = os.stat(path)
        digest = hashlib.sha256(open(path, "rb").read()).hexdigest() if name in files else ""
        found[os.path.relpath(path, "/volume")] = [digest, about.st_mtime_ns, about.st_mode, about.st_uid]
print(json.dumps(found))
"""


class Owner:
    """The pod that filled the volume and still has it mounted; it sees what others do to it."""

    def __init__(self, network: Network) -> None:
        self._network = network

    def look(self) -> dict[str, list[Any]]:
        """By path: digest, time of the last change, mode, owner."""
        found: dict[str, list[Any]] = json.loads(
            self._network.kubectl("exec", "owner", "--", "python3", "-c", LOOK)
        )
        return found

    def digest(self, path: str) -> str:
        return str(self.look().get(path, [""])[0])


@pytest.fixture
def network(cluster: Cluster, namespace: str) -> Network:
    return Network(cluster, namespace)


@pytest.fixture
def owner(cluster: Cluster, network: Network) -> Owner:
    """A claim whose volume has one file."""
    container = {
        "name": "owner",
        "image": cluster.load_images(["node"])["node"],
        "imagePullPolicy": "IfNotPresent",
        "command": ["python3", "-c", FILL],
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        "volumeMounts": [{"name": "volume", "mountPath": "/volume"}],
        "readinessProbe": {
            "exec": {"command": ["test", "-s", "/volume/llama/weights.bin"]},
            "periodSeconds": 1,
        },
    }
    spec = {
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 65532,
            "fsGroup": 65532,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "terminationGracePeriodSeconds": 0,
        "containers": [container],
        "volumes": [{"name": "volume", "persistentVolumeClaim": {"claimName": "model-weights"}}],
    }
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "owner"}, "spec": spec}
    content = {"apiVersion": "v1", "kind": "List", "items": [CLAIM, pod]}
    network.kubectl("create", "-f", "-", input=json.dumps(content))
    network.kubectl("wait", "pod/owner", "--for=condition=Ready", "--timeout=90s")
    return Owner(network)


def test_a_volumes_files_reach_peers_and_it_stays_as_it_is(
    network: Network, owner: Owner, tmp_path: Path
) -> None:
    before = owner.look()
    assert before.keys() == {"llama", "llama/weights.bin"}
    network.apply(SPEC | {"sharing": {"volume": {"claimName": "model-weights"}}})
    network.wait(timeout=240)
    name = "shared/llama/weights.bin"
    with network.rest("library-peer-0") as peer:
        found = wait_for(lambda: row(peer, name), "the file in the peer's index", 60, every=0.5)
        assert [holder["peer"] for holder in found["holders"]] == ["library-seed-0"]
        assert [item["name"] for item in peer.files("weights")] == [name]
        number = download(peer, name)
        wait_for(lambda: complete(peer, number), "the download", 120, every=0.2)
    assert sha256_in(network, "library-peer-0", f"/data/{name}") == owner.digest("llama/weights.bin")

    (tmp_path / "new.bin").write_bytes(b"new")
    with network.rest("library-seed-0") as seed:
        assert seed.put("shared/new.bin", tmp_path / "new.bin") == 403
        assert seed.put("shared/other/new.bin", tmp_path / "new.bin") == 403
        with pytest.raises(HTTPError, match="403"):
            seed.json(f"/files/{name}", "DELETE")
        # What is not on the volume can be changed as ever.
        assert seed.put("new.bin", tmp_path / "new.bin") == 201
    assert owner.look() == before


def test_a_volume_that_may_be_written_takes_files(network: Network, owner: Owner, tmp_path: Path) -> None:
    volume = {"claimName": "model-weights", "readOnly": False, "folder": "models"}
    network.apply(SPEC | {"sharing": {"volume": volume}})
    network.wait(timeout=240)
    content = tmp_path / "new.bin"
    content.write_bytes(os.urandom(300_000))
    with network.rest("library-seed-0") as seed:
        assert seed.put("models/llama/new.bin", content) == 201
        assert seed.read("/files/models/llama/new.bin") == content.read_bytes()
    with network.rest("library-peer-0") as peer:
        wait_for(lambda: row(peer, "models/llama/new.bin"), "the file in the peer's index", 60, every=0.5)
    # Nothing else came: no partial file, no state of the node's.
    assert owner.look().keys() == {"llama", "llama/weights.bin", "llama/new.bin"}
