"""What a network left behind is its own again: after a restore, and after a deletion that spared it."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster import Cluster
from tests.cluster.build import ensure_binaries
from tests.docs import blocks
from tests.e2e.networks import CHILDREN, Network
from tests.waiting import wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900), pytest.mark.usefixtures("operator")]

VOLUME = {"storage": {"size": "1Gi"}}
SPEC: dict[str, Any] = {
    "seeds": VOLUME,
    "peers": VOLUME | {"replicas": 1},
    "broker": {"managed": {"storage": {"ephemeral": True}}},
    "access": {"tokens": "Managed"},
    "persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Retain"},
}
MADE_ONCE = ("library-broker-credentials", "library-broker-cookie", "library-tokens")
VELERO_DROPS = (
    "uid", "resourceVersion", "generation", "creationTimestamp", "ownerReferences", "managedFields",
    "selfLink", "finalizers",
)  # fmt: skip
"""Of metadata, when it restores."""


@pytest.fixture
def network(cluster: Cluster, namespace: str, tmp_path: Path) -> Iterator[Network]:
    """A network with a file on its peer."""
    found = Network(cluster, namespace)
    found.apply(SPEC)
    found.wait(timeout=300)
    (tmp_path / "kept.bin").write_bytes(os.urandom(1_000_000))
    with found.rest("library-peer-0", token(found)) as rest:
        assert rest.put("kept.bin", tmp_path / "kept.bin") == 201
    yield found
    found.kubectl("delete", "p2pn", "--all", "--wait=false")


def token(network: Network) -> str:
    return network.secret("library-tokens")["write"]


def is_there(network: Network) -> bool:
    with network.rest("library-peer-0", token(network)) as rest:
        return [row["name"] for row in rest.files() if row["available"]] == ["kept.bin"]


def uids(network: Network, kinds: str) -> dict[str, str]:
    return {item["metadata"]["name"]: item["metadata"]["uid"] for item in network.objects(kinds)}


def delete(network: Network) -> None:
    """Deletes the network and waits until only its volumes are left."""
    network.kubectl("delete", "p2pn", network.name, "--wait=true")
    kinds = CHILDREN.replace(",persistentvolumeclaims", "")
    wait_for(lambda: not network.objects(kinds), "nothing left but volumes", 180, every=1)


def run(network: Network, folder: Path, block: blocks.Block) -> None:
    """Runs commands of a page in the network's namespace."""
    commands = folder / "bin"
    commands.mkdir(exist_ok=True)
    wrapper = commands / "kubectl"
    wrapper.write_text(f'#!/bin/sh\nexec {ensure_binaries().kubectl} -n {network.namespace} "$@"\n')
    wrapper.chmod(0o755)
    environment = os.environ | network.cluster.environment()
    environment["PATH"] = f"{commands}:{environment['PATH']}"
    command = ["bash", "-c", blocks.script([block])]
    ended = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=700, check=False
    )
    assert ended.returncode == 0, f"{ended.stdout}{ended.stderr}\n{network.story()}"


def test_the_restore_that_the_documentation_has(network: Network, tmp_path: Path) -> None:
    page = blocks.read(blocks.DOCS / "operations" / "backup.md")
    backup, restore = page.of(blocks.Kind.CLUSTER)
    before = {name: network.secret(name) for name in MADE_ONCE}
    run(network, tmp_path, backup)
    delete(network)
    run(network, tmp_path, restore)
    assert {name: network.secret(name) for name in MADE_ONCE} == before
    wait_for(lambda: is_there(network), "the file", 60)
    # They go with the network again.
    delete(network)


def restored(item: dict[str, Any]) -> dict[str, Any]:
    """An object as a backup brings it back."""
    metadata = {key: value for key, value in item["metadata"].items() if key not in VELERO_DROPS}
    found = {key: value for key, value in item.items() if key != "status"} | {"metadata": metadata}
    if item["kind"] == "Service":
        for key in ("clusterIP", "clusterIPs"):
            if item["spec"].get(key) not in ("None", ["None"]):
                found["spec"] = {name: value for name, value in found["spec"].items() if name != key}
    return found


def test_a_namespace_that_was_restored_whole_is_taken_again(network: Network) -> None:
    kinds = "secrets,configmaps,services,networkpolicies,poddisruptionbudgets,statefulsets"
    objects = network.objects(kinds)
    body = network.get()
    before = {name: network.secret(name) for name in MADE_ONCE}
    delete(network)
    content = {"apiVersion": "v1", "kind": "List", "items": [restored(item) for item in objects]}
    network.kubectl("create", "-f", "-", input=json.dumps(content))
    network.kubectl("create", "-f", "-", input=json.dumps(restored(body)))
    network.wait(timeout=300)
    assert {name: network.secret(name) for name in MADE_ONCE} == before
    wait_for(lambda: is_there(network), "the file", 60)
    owner = network.get()["metadata"]["uid"]
    for item in network.objects(kinds):
        (reference,) = item["metadata"]["ownerReferences"]
        assert reference["uid"] == owner, item["metadata"]["name"]


def test_pods_that_a_deletion_left_running_go_on_under_the_next_network(network: Network) -> None:
    before = uids(network, "pods")
    network.kubectl("delete", "p2pn", network.name, "--cascade=orphan", "--wait=true")
    network.apply(SPEC)
    network.wait(timeout=120)
    assert uids(network, "pods") == before
    assert is_there(network)
    events = network.kubectl("get", "events", "--field-selector=reason=Adopted", "-o", "name").split()
    assert events
    delete(network)
