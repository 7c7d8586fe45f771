"""The state's database is busy: a node goes on answering from memory."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.nodes import Nodes, RunningNode
from tests.waiting import wait_for

pytestmark = pytest.mark.integration

HELD = 20.0
"""Seconds for which somebody else writes, less than a node waits for that."""
PROMPT = 10.0
"""What an answer may take on a machine that is busy as well; those that wait for the database take longer."""


@contextmanager
def busy(node: RunningNode) -> Iterator[float]:
    """Another process holds the lock for writing; when it lets go."""
    db = sqlite3.connect(node.home / "files/.minga/minga.sqlite3", timeout=30, isolation_level=None)
    db.execute("BEGIN IMMEDIATE")
    until = time.monotonic() + HELD
    try:
        yield until
        # What was promised to hold meanwhile was looked at in time.
        assert time.monotonic() < until
    finally:
        db.execute("ROLLBACK")
        db.close()


def test_lists_and_probes_wait_for_nobody_who_waits_for_the_database(nodes: Nodes) -> None:
    far = nodes.start(
        "far", files={f"f{number}.bin": b"%d" % number * 100_000 for number in range(3)}
    ).ready()
    near = nodes.start("near", far).ready()
    wait_for(lambda: len(near.names()) == 3, "near knows the files")
    first = near.fetch(name="f0.bin")["id"]
    answers: list[int] = []

    def begin(name: str) -> None:
        answers.append(near.request("POST", "/api/v1/downloads", json={"name": name}).status)

    starters = [threading.Thread(target=begin, args=(f"f{number}.bin",)) for number in (1, 2)]
    with busy(near):
        for starter in starters:
            starter.start()
        time.sleep(1)
        for path in (
            "/api/v1/downloads",
            f"/api/v1/downloads/{first}",
            "/api/v1/node",
            "/readyz",
            "/healthz",
            "/metrics",
        ):
            began = time.monotonic()
            assert near.request("GET", path).status == 200, path
            assert time.monotonic() - began < PROMPT, path
        assert answers == [], "what has to be remembered waits"
    for starter in starters:
        starter.join(60)
    assert answers == [202, 202]
