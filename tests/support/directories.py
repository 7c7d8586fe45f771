"""What nodes know, what their directories really have, and what is in their state."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Any

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


def state(node: RunningNode, question: str) -> list[tuple[Any, ...]]:
    """Asks a node's database."""
    path = node.directory / ".minga" / "minga.sqlite3"
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as db:
        found = db.execute(question, {"self": node.name}).fetchall()
    db.close()
    return found


def told(network: Iterable[RunningNode]) -> set[str]:
    """The ids of all events of files that there must have been: one for each version of each log."""
    found = set()
    for node in network:
        ((epoch, version),) = state(node, "SELECT epoch, version FROM logs WHERE peer = :self")
        found |= {f"{node.name}.{epoch}.{number}" for number in range(1, version + 1)}
    return found
