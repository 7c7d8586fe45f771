from __future__ import annotations

import pytest

from minga_node.wire import TokenBucket


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


def test_a_limit_below_another_keeps_to_both_and_says_which_holds_back() -> None:
    clock = Clock()
    shared = TokenBucket(1_000_000, clock=clock)
    tight = TokenBucket(100_000, above=shared, clock=clock)
    loose = TokenBucket(0, above=shared, clock=clock)
    assert tight.take(200_000) == pytest.approx((200_000 - 65536) / 100_000)
    assert (tight.holds_back, shared.holds_back) == (True, False)
    assert loose.take(1_000_000) == pytest.approx(1.0)
    assert (loose.holds_back, shared.holds_back) == (False, True)
    clock.now += 100
    assert not tight.holds_back
    assert not shared.holds_back
