"""How long to wait before the next try."""

from __future__ import annotations

from minga_node.mom.backoff import Backoff


def test_it_grows_up_to_a_cap_with_jitter_and_begins_anew() -> None:
    backoff = Backoff(first=0.25, most=10.0)
    waits = [backoff.next() for _ in range(12)]
    limits = [min(10.0, 0.25 * 2**n) for n in range(12)]
    assert all(limit / 4 <= wait <= limit for wait, limit in zip(waits, limits, strict=True))
    assert limits[-1] == 10.0
    backoff.reset()
    assert backoff.next() <= 0.25


def test_a_thousand_nodes_do_not_come_at_once() -> None:
    waits = []
    for _ in range(1000):
        backoff = Backoff()
        for _ in range(8):
            last = backoff.next()
        waits.append(last)
    in_the_fullest_half_second = max(
        sum(begin <= wait < begin + 0.5 for wait in waits) for begin in (n / 10 for n in range(40))
    )
    assert in_the_fullest_half_second < 250


def test_it_goes_on_for_a_year() -> None:
    backoff = Backoff()
    for _ in range(10_000):
        assert backoff.next() <= 4.0


def test_a_broker_that_starts_is_found_within_five_seconds_however_long_it_was_away() -> None:
    backoff = Backoff()
    assert max(backoff.next() for _ in range(1000)) <= 5.0


def test_a_broker_that_refuses_us_is_asked_less_often_but_not_at_first() -> None:
    backoff = Backoff()
    waits = [backoff.next(refused=True) for _ in range(12)]
    assert waits[0] <= 0.25
    assert min(waits[7:]) > 3.0
    assert max(waits) <= 15.0
    assert backoff.next() <= 4.0
