"""How much of the last second was spent inside."""

from __future__ import annotations

import pytest

from minga_node.fetching.disk_load import DiskLoad
from tests.unit.node.wire.test_rate_limit import Clock


def test_the_share_of_the_last_second() -> None:
    clock = Clock()
    busy = DiskLoad(clock)
    for _ in range(10):
        with busy:
            clock.now += 0.05
        clock.now += 0.05
    assert busy.share() == pytest.approx(0.5)
    clock.now += 10
    assert busy.share() == 0


def test_what_has_not_come_back_counts() -> None:
    clock = Clock()
    busy = DiskLoad(clock)
    with busy:
        clock.now += 0.7
        assert busy.share() == pytest.approx(0.7)
        clock.now += 7
        assert busy.share() == pytest.approx(1)
