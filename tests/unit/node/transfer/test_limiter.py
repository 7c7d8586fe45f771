from __future__ import annotations

import pytest

from minga_node.transfer import TokenBucket


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_who_waits_as_told_gets_the_rate() -> None:
    clock = Clock()
    bucket = TokenBucket(1_000_000, clock=clock)
    sent = 0
    while clock.now < 10:
        clock.now += bucket.take(50_000)
        sent += 50_000
    assert sent / clock.now == pytest.approx(1_000_000, rel=0.05)


def test_without_a_limit_nobody_waits() -> None:
    bucket = TokenBucket(0)
    assert bucket.take(10**12) == bucket.delay() == 0
    assert bucket.available() > 10**9


def test_an_idle_bucket_does_not_gather_more_than_a_burst() -> None:
    clock = Clock()
    bucket = TokenBucket(1_000_000, clock=clock)
    clock.now = 1000
    assert bucket.available() == 200_000
