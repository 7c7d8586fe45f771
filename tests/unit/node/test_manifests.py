"""The manifests in the node's store."""

from __future__ import annotations

from pathlib import Path

from minga_node.manifest import HEADER, MAGIC, Manifest
from minga_node.manifests import STEPS, Manifests
from minga_node.store import Store

MIB = 2**20


def test_of_those_of_an_earlier_version_only_the_ones_that_still_hold_are_kept(tmp_path: Path) -> None:
    """Then a file of 64 MiB had 512 pieces of 128 KiB; now it has another id, and is hashed anew."""
    store = Store(tmp_path / "s.db")
    store.migrate("manifests", STEPS[:1])
    small = Manifest(31 * MIB, bytes(32 * 496))
    former = HEADER.pack(MAGIC, 64 * MIB, 128 * 1024) + bytes(32 * 512)
    with store.write() as db:
        rows = [(bytes.fromhex(small.id), small.encode()), (bytes(32), former)]
        db.executemany("INSERT INTO manifest VALUES (?, ?)", rows)
    manifests = Manifests(store)
    assert manifests.get(small.id) == small
    assert manifests.get("00" * 32) is None
    store.close()
