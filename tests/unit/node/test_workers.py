from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from minga_node.errors import StorageFailed
from minga_node.workers import LONGEST_PAUSE_SECONDS, SHOWN_AFTER_SECONDS, Loop, Worker, Workers, pause_after
from tests.waiting import wait_for


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Work:
    """Fails as long as there is something to raise."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.done = 0
        self.tried = 0

    def __call__(self) -> None:
        self.tried += 1
        if self.error is not None:
            raise self.error
        self.done += 1


def _has_done(work: Work, count: int) -> bool:
    return work.done == count


@pytest.fixture
def started() -> Iterator[Callable[[Worker], Worker]]:
    all_: list[Worker] = []

    def start(worker: Worker) -> Worker:
        all_.append(worker)
        worker.start()
        return worker

    yield start
    for worker in all_:
        assert worker.stop(10)


def test_pauses_grow_and_have_an_end() -> None:
    assert [pause_after(n) for n in (1, 2, 3, 4)] == [0.5, 1.0, 2.0, 4.0]
    assert pause_after(7) == pause_after(10_000) == LONGEST_PAUSE_SECONDS


def test_whatever_a_step_raises_is_counted_and_followed_by_a_pause() -> None:
    work = Work()
    worker = Worker("w", work, interval=7.0)
    assert worker.once() == 7.0
    work.error = RuntimeError("odd")
    assert [worker.once() for _ in range(3)] == [0.5, 1.0, 2.0]
    assert worker.failures == 3
    assert worker.error == "RuntimeError: odd"
    work.error = StorageFailed("no disk")
    worker.once()
    assert worker.error == "no disk"
    work.error = None
    assert worker.once() == 7.0
    assert (worker.failures, worker.error) == (0, "")


def test_a_step_may_say_when_the_next_is_due() -> None:
    assert Worker("w", lambda: 3.5, interval=7.0).once() == 3.5
    assert Worker("w", lambda: None).once() is None


def test_it_survives_what_it_raises_and_says_so_meanwhile(started: Callable[[Worker], Worker]) -> None:
    work, clock = Work(), Clock()
    work.error = ValueError("bad day")
    worker = Worker("w", work, interval=0.01, clock=clock)
    workers = Workers()
    workers.watch([worker])
    assert workers.problems() == [], "it was never started"
    started(worker)
    wait_for(lambda: worker.failures > 1, "it has failed twice")
    assert workers.problems() == [], "which may be a moment"
    clock.now += SHOWN_AFTER_SECONDS
    assert workers.problems() == ["w fails: ValueError: bad day"]
    work.error = None
    wait_for(lambda: work.done > 3, "it works again")
    assert worker.alive
    assert workers.problems() == []


def test_failures_in_a_row_count_from_the_first_of_them() -> None:
    work, clock = Work(), Clock()
    worker = Worker("w", work, clock=clock)
    worker._thread = threading.current_thread()
    for _ in range(3):
        work.error = ValueError("bad day")
        worker.once()
        clock.now += SHOWN_AFTER_SECONDS - 1
        worker.once()
        assert worker.problem() == ""
        work.error = None
        worker.once()
    work.error = ValueError("bad day")
    worker.once()
    clock.now += SHOWN_AFTER_SECONDS
    assert worker.problem() == "", "it has been tried once"
    worker.once()
    assert worker.problem() == "w fails: ValueError: bad day"


def test_waking_is_not_lost_nor_does_it_shorten_the_pause_after_a_failure(
    started: Callable[[Worker], Worker],
) -> None:
    work = Work()
    worker = started(Worker("w", work, delay=None))
    assert work.tried == 0
    for count in range(1, 5):
        worker.wake()
        wait_for(partial(_has_done, work, count), f"it is woken {count} times")
    work.error = ValueError()
    worker.wake()
    wait_for(lambda: work.tried == 5, "it fails")
    for _ in range(1000):
        worker.wake()
    assert work.tried == 5
    work.error = None
    wait_for(lambda: work.done == 5, "what woke it is seen to after the pause")


def test_it_ends_at_once_from_any_wait(started: Callable[[Worker], Worker]) -> None:
    failing = Work()
    failing.error = ValueError()
    workers = [
        Worker("never woken", Work(), delay=None),
        Worker("late", Work(), interval=1000.0),
        Worker("resting", lambda: 0.0 if workers[2].rest(1000) else 1.0),
        Worker("failing", failing),
    ]
    for worker in workers:
        started(worker)
    wait_for(lambda: failing.tried > 0, "one fails")
    for worker in workers:
        assert worker.stop(5.0), worker.name
        assert not worker.alive


def test_one_that_does_not_move_is_told_of() -> None:
    clock = Clock()
    go_on = threading.Event()

    def step() -> None:
        go_on.wait(30)

    worker = Worker("w", step, stuck_after=10.0, interval=1000.0, clock=clock)
    worker.start()
    try:
        wait_for(lambda: worker._busy_since is not None, "it is at it")
        clock.now += 9
        assert worker.problem() == ""
        clock.now += 2
        assert worker.problem() == "w has not moved for 11 seconds"
        worker.beat()
        assert worker.problem() == ""
        go_on.set()
        wait_for(lambda: worker._busy_since is None, "it is done")
        clock.now += 1000
        assert worker.problem() == "", "it has nothing to do"
    finally:
        go_on.set()
        worker.stop(10)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_one_whose_thread_ended_is_told_of() -> None:
    def step() -> None:
        raise SystemExit

    worker = Worker("w", step)
    worker.start()
    wait_for(lambda: not worker.alive, "its thread has ended")
    assert worker.problem() == "w has ended"


def test_a_loop_is_run_again_when_it_raises_or_just_returns(started: Callable[[Worker], Worker]) -> None:
    runs: list[int] = []
    stop, clock = threading.Event(), Clock()

    def run() -> None:
        runs.append(len(runs))
        if len(runs) == 1:
            raise ValueError("broken")
        if len(runs) == 2:
            return
        stop.wait(30)

    loop = started(Loop("l", run, clock=clock))
    wait_for(lambda: loop.failures == 2, "it was run again")
    assert loop.problem() == ""
    clock.now += SHOWN_AFTER_SECONDS
    wait_for(lambda: loop.problem() == "l fails: RuntimeError: it ended by itself", "it says so")
    wait_for(lambda: len(runs) == 3, "and again")
    stop.set()
    assert loop.stop(10)


def test_a_loop_that_has_been_running_for_a_while_is_well() -> None:
    clock = Clock()
    stop = threading.Event()
    fails = iter([True, True, False])

    def run() -> None:
        if next(fails):
            raise ValueError("broken")
        stop.wait(30)

    loop = Loop("l", run, stuck_after=20.0, clock=clock)
    loop.start()
    try:
        wait_for(lambda: loop.failures == 2 and loop._busy_since is not None, "it runs for the third time")
        assert loop.problem() == ""
        clock.now += SHOWN_AFTER_SECONDS
        assert loop.problem() == "l fails: ValueError: broken"
        loop.beat()
        assert loop.problem() == ""
        clock.now += 21
        assert loop.problem() == "l has not moved for 21 seconds"
        loop.beat()
        assert loop.problem() == ""
    finally:
        stop.set()
        assert loop.stop(10)
