"""What nodes know, and what their directories really have."""

from __future__ import annotations

from collections.abc import Iterable

from tests.nodes import RunningNode


def known(node: RunningNode) -> dict[str, set[str]]:
    """Everything a node knows: who holds each name, under whatever content."""
    found: dict[str, set[str]] = {}
    cursor = ""
    while True:
        page = node.get(f"/api/v1/files?limit=1000&sort=name&cursor={cursor}")
        for row in page["files"]:
            found.setdefault(row["name"], set()).update(holder["peer"] for holder in row["holders"])
        if page["next_cursor"] is None:
            return found
        cursor = page["next_cursor"]


def union(network: Iterable[RunningNode]) -> dict[str, set[str]]:
    """What the directories have."""
    found: dict[str, set[str]] = {}
    for node in network:
        for path in node.directory.rglob("*"):
            if path.is_file() and ".minga" not in path.parts:
                found.setdefault(path.relative_to(node.directory).as_posix(), set()).add(node.name)
    return found
