"""What a network on this machine takes from a P2PNetwork."""

from __future__ import annotations

from pathlib import Path

from minga_node.local.spec import SHARING, read
from minga_operator.model import Sharing

NETWORK = """
kind: P2PNetwork
metadata: {name: library}
spec:
  peers: {replicas: 2}
  sharing: {uploadLimit: 5M, parallelism: 8, replicationTarget: 2}
"""


def test_sharing_becomes_the_nodes_configuration(tmp_path: Path) -> None:
    (tmp_path / "network.yaml").write_text(NETWORK)
    found = read(tmp_path / "network.yaml")
    assert (found.name, found.seeds, found.peers) == ("library", 1, 2)
    assert found.sharing == {"upload_limit": 5_000_000, "parallelism": 8, "replication_target": 2}


def test_no_field_of_sharing_is_passed_over_but_the_volume() -> None:
    fields = {field.alias for field in Sharing.model_fields.values()}
    assert fields - SHARING.keys() == {"volume"}
