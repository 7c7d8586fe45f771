"""The queue that reconciles come from."""

from __future__ import annotations

from minga_operator.workqueue import WorkQueue

A, B = ("shelf", "a"), ("shelf", "b")


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def queue() -> tuple[WorkQueue, Clock]:
    clock = Clock()
    return WorkQueue(clock=clock, jitter=lambda: 0.5), clock


def test_a_key_is_in_it_once() -> None:
    found, _ = queue()
    for key in (A, B, A, A):
        found.add(key)
    assert [found.take(0), found.take(0), found.take(0)] == [A, B, None]


def test_a_key_that_comes_while_it_is_worked_on_comes_again_afterwards() -> None:
    found, _ = queue()
    found.add(A)
    assert found.take(0) == A
    found.add(A)
    assert found.take(0) is None
    found.done(A)
    assert found.take(0) == A


def test_a_delayed_key_comes_at_its_earliest_time() -> None:
    found, clock = queue()
    found.add_after(A, 60)
    found.add_after(A, 10)
    found.add_after(A, 30)
    assert found.take(0) is None
    clock.now += 10
    assert found.take(0) == A
    found.done(A)
    clock.now += 100
    assert found.take(0) is None


def test_failures_wait_twice_as_long_each_time_up_to_a_minute() -> None:
    found, _ = queue()
    assert [found.retry(A) for _ in range(9)] == [0.5, 1, 2, 4, 8, 16, 32, 60, 60]
    found.succeeded(A)
    assert found.retry(A) == 0.5


def test_the_slowest_work_is_known() -> None:
    found, clock = queue()
    found.add(A)
    found.take(0)
    clock.now += 7
    assert found.oldest_work() == 7
    found.done(A)
    assert found.oldest_work() == 0


def test_a_closed_queue_lets_workers_go() -> None:
    found, _ = queue()
    found.close()
    assert found.take() is None
