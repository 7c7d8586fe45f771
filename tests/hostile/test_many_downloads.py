"""Downloads by the hundred, each on threads of its own: afterwards a node has no more open than before."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from tests.nodes import Nodes, RunningNode
from tests.waiting import wait_for

pytestmark = pytest.mark.integration

WARM = 20
MANY = 80


def opened(node: RunningNode) -> Counter[str]:
    """What the process has open, by kind."""
    links: Counter[str] = Counter()
    for each in Path(f"/proc/{node.process.pid}/fd").iterdir():
        try:
            links[re.sub(r"\d+", "", str(each.readlink()))] += 1
        except OSError:
            continue  # closed meanwhile
    return links


def threads(node: RunningNode) -> int:
    return sum(1 for _ in Path(f"/proc/{node.process.pid}/task").iterdir())


def test_downloads_leave_no_descriptor_and_no_thread_behind(nodes: Nodes) -> None:
    files = {f"{number:03}": b"%d" % number * 100 for number in range(WARM + MANY)}
    far = nodes.start("far", files=files).ready()
    near = nodes.start("near", far).ready()
    wait_for(lambda: near.names() == set(files), "near knows them")

    def here() -> set[str]:
        return {row["name"] for row in near.get("/api/v1/files?scope=local&limit=1000")["files"]}

    def fetch(names: list[str]) -> None:
        for name in names:
            assert near.request("POST", "/api/v1/downloads", json={"name": name}).status == 202
        wait_for(lambda: set(names) <= here(), "all are here", 120)

    names = sorted(files)
    fetch(names[:WARM])
    open_before, threads_before = opened(near), threads(near)
    fetch(names[WARM:])

    def quiet() -> bool:
        grown = opened(near) - open_before
        return grown.total() <= 8 and threads(near) <= threads_before + 4

    try:
        wait_for(quiet, "what they opened is closed", 60)
    except AssertionError:
        pytest.fail(f"left by {MANY} downloads: {opened(near) - open_before}, {threads(near)} threads")
