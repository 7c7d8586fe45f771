"""Hundreds of downloads leave nothing behind."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from minga_node.downloads import DownloadState
from minga_node.downloads.download_records import KEPT
from tests.support.swarm_peer import SwarmPeer
from tests.waiting import wait_for

pytestmark = pytest.mark.integration

FIRST, MANY = 150, 400
SPARE = 32, 6
"""Descriptors and threads that come and go whatever is fetched, such as connections kept for the next
one. One of each download that stayed would be many times as much."""


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[SwarmPeer, SwarmPeer]]:
    giver = SwarmPeer("giver", tmp_path / "giver").start()
    taker = SwarmPeer("taker", tmp_path / "taker", others=[(giver.peer, True)]).start()
    yield giver, taker
    taker.stop()
    giver.stop()


def fetch(giver: SwarmPeer, taker: SwarmPeer, numbers: range) -> None:
    started = []
    for number in numbers:
        (giver.directory / f"{number}").write_bytes(b"%d" % number * 100)
        started.append(taker.downloads.start(giver.share(f"{number}").id, f"{number}").id)
    for identity in started:
        ended = taker.downloads.wait(identity, 120)
        assert ended.state is DownloadState.COMPLETE, ended


def held() -> tuple[int, int]:
    gc.collect()
    return len(os.listdir("/proc/self/fd")), threading.active_count()  # noqa: PTH208


def test_threads_and_descriptors_are_those_from_before(pair: tuple[SwarmPeer, SwarmPeer]) -> None:
    giver, taker = pair
    fetch(giver, taker, range(FIRST))
    before = settled()
    fetch(giver, taker, range(FIRST, MANY))
    descriptors, threads = before
    wait_for(
        lambda: held()[0] <= descriptors + SPARE[0] and held()[1] <= threads + SPARE[1],
        f"{before} as before, not {held()}",
        30,
    )


def settled() -> tuple[int, int]:
    """What is held once that of the last download has ended."""
    last = held()

    def same() -> bool:
        nonlocal last
        before, last = last, held()
        return before == last

    wait_for(same, "nothing changes any more", every=0.5)
    return last


def test_ended_ones_are_forgotten_in_memory_and_on_disk(
    pair: tuple[SwarmPeer, SwarmPeer], monkeypatch: pytest.MonkeyPatch
) -> None:
    giver, taker = pair
    monkeypatch.setattr("minga_node.downloads.manager.KEPT", 10)
    fetch(giver, taker, range(40))
    names = [download.name for download in taker.downloads.list()]
    assert len(names) == 10
    assert taker.store.rows("SELECT count(*) FROM download") == [(10,)]
    assert KEPT >= 100, "enough for people"
