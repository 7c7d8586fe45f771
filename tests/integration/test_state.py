"""A node whose state was damaged."""

from __future__ import annotations

import pytest

from tests.nodes import Nodes
from tests.waiting import wait_for

pytestmark = pytest.mark.integration


def test_a_corrupt_state_is_moved_aside_and_the_files_are_published_anew(nodes: Nodes) -> None:
    seed = nodes.start("seed").ready()
    a = nodes.start("a", seed, files={"kept.txt": b"x"}).ready()
    wait_for(lambda: "kept.txt" in seed.names(), "the seed knows it")
    epoch = a.get("/api/v1/node")["epoch"]
    a.kill()
    state = a.directory / ".minga"
    for path in state.glob("minga.sqlite3*"):
        path.write_bytes(b"not a database at all" * 500)
    a.launch()
    a.ready()
    assert "is damaged" in a.log
    assert list(state.glob("minga.sqlite3.damaged-*"))
    assert a.get("/api/v1/node")["epoch"] > epoch

    def holders() -> list[tuple[str, bool]]:
        rows = seed.get("/api/v1/files?q=kept")["files"]
        return [(holder["peer"], holder["online"]) for row in rows for holder in row["holders"]]

    wait_for(lambda: holders() == [("a", True)], "the seed knows it anew, once")
