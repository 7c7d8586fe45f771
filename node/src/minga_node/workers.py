"""Background work that does not end unseen: one supervised thread for each piece of it.

A :class:`Worker` does a step now and then, or when it is woken; a :class:`Loop` runs something that has a
loop of its own. Whatever they raise is caught, counted and tried again, ever more rarely; a node's
:class:`Workers` say what is wrong with any of them, for ``/readyz`` and the metrics.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial

from minga_node.errors import MingaError
from minga_node.metrics import WORKER_FAILING, WORKER_FAILURES

log = logging.getLogger(__name__)

FIRST_PAUSE_SECONDS = 0.5
"""Seconds before the second try; twice as long each time."""
LONGEST_PAUSE_SECONDS = 30.0
SHOWN_AFTER_SECONDS = 10.0
"""Seconds of nothing but failures, and more than one, after which a node counts as not ready. What passes
sooner, such as a lock of the database or a want of descriptors, is no reason to send its clients away.
"""
STUCK_SECONDS = 120.0
"""How long a step may take before somebody should look."""
STEADY_SECONDS = 5.0
"""A loop that ran for so long is taken for one that works."""
STOP_SECONDS = 3.0

Clock = Callable[[], float]
"""Seconds of a monotonic clock."""


def pause_after(failures: int) -> float:
    """Seconds before the next try, after so many failures in a row."""
    return float(min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0 ** min(failures - 1, 16)))


class Worker:
    """A thread that does one thing again and again.

    Args:
        name: of the thread, in the log and in metrics; one of few.
        step: does it once. It may return the seconds until it is to be done again, instead of ``interval``.
            It must end soon after :attr:`stopping` is set.
        interval: seconds between the end of a step and the next; None: only when woken.
        delay: seconds before the first step; None: not before it is woken.
        stuck_after: seconds of one step after which it counts as stuck; None: it may take any time. A step
            that is long by nature calls :meth:`beat` on its way.
        longest_pause: seconds after a failure, at most.
    """

    def __init__(
        self,
        name: str,
        step: Callable[[], float | None],
        *,
        interval: float | None = None,
        delay: float | None = 0.0,
        stuck_after: float | None = STUCK_SECONDS,
        longest_pause: float = LONGEST_PAUSE_SECONDS,
        clock: Clock = time.monotonic,
    ) -> None:
        self.name = name
        self.stopping = threading.Event()
        self.failures = 0
        """In a row."""
        self.error = ""
        """What the last step that failed raised; empty after one that did not."""
        self._step, self._interval, self._delay = step, interval, delay
        self._stuck_after, self._longest, self._clock = stuck_after, longest_pause, clock
        self._woken = False
        self._change = threading.Condition()
        self._thread: threading.Thread | None = None
        self._busy_since: float | None = None
        self._failing_since: float | None = None

    # For its owner.

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name=self.name, daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Has a step done soon, from any thread; not before the pause after a failure is over."""
        with self._change:
            self._woken = True
            self._change.notify_all()

    def end(self) -> None:
        """Asks it to end. It cannot be started again."""
        with self._change:
            self.stopping.set()
            self._change.notify_all()

    def stop(self, timeout: float = STOP_SECONDS) -> bool:
        """Asks it to end and waits for that; whether it has."""
        self.end()
        thread = self._thread
        if thread is None or thread is threading.current_thread():
            return True
        thread.join(timeout)
        if thread.is_alive():
            log.warning("%s does not end", self.name)
        return not thread.is_alive()

    # For the step.

    def rest(self, seconds: float) -> bool:
        """Waits within a step; True when it is to end."""
        return self.stopping.wait(seconds)

    def beat(self) -> None:
        """Says from within a step that it goes on."""
        self._busy_since = self._clock()

    # For who looks at it.

    @property
    def alive(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def problem(self) -> str:
        """What is wrong with it; empty where nothing is, or where it was never started or is to end."""
        if self._thread is None or self.stopping.is_set():
            return ""
        if not self.alive:
            return f"{self.name} has ended"
        failing = self._failing_since
        if failing is not None and self.failures > 1 and self._clock() - failing >= SHOWN_AFTER_SECONDS:
            return f"{self.name} fails: {self.error}"
        since = self._busy_since
        if since is not None and self._stuck_after is not None:
            busy = self._clock() - since
            if busy > self._stuck_after:
                return f"{self.name} has not moved for {busy:.0f} seconds"
        return ""

    # The thread.

    def once(self) -> float | None:
        """One step, whatever comes of it; the seconds until the next, None for when it is woken."""
        self._busy_since = self._clock()
        try:
            after = self._step()
        except Exception as error:  # noqa: BLE001 (that is what it is for)
            return self._failed(error)
        finally:
            self._busy_since = None
        self._went_well()
        return self._interval if after is None else after

    def _went_well(self) -> None:
        if self.failures:
            log.info("%s works again", self.name)
            self._forget_failures()

    def _forget_failures(self) -> None:
        self.failures, self.error, self._failing_since = 0, "", None

    def _failed(self, error: Exception) -> float:
        if self.stopping.is_set():
            return 0.0  # The parts it needs may be gone already.
        self.failures += 1
        if self._failing_since is None:
            self._failing_since = self._clock()
        WORKER_FAILURES.labels(self.name).inc()
        told, text = self.error, str(error) or type(error).__name__
        self.error = text if isinstance(error, MingaError) else f"{type(error).__name__}: {text}"
        if self.error != told:
            # An error of ours says what it is; of others only the place tells.
            unforeseen = None if isinstance(error, MingaError) else error
            log.warning("%s fails, and is tried again: %s", self.name, self.error, exc_info=unforeseen)
        return min(self._longest, pause_after(self.failures))

    def _run(self) -> None:
        self._wait(self._delay)
        while not self.stopping.is_set():
            with self._change:
                self._woken = False
            seconds = self.once()
            if self.failures:
                self.stopping.wait(seconds)
            else:
                self._wait(seconds)

    def _wait(self, seconds: float | None) -> None:
        with self._change:
            self._change.wait_for(lambda: self._woken or self.stopping.is_set(), seconds)


class Loop(Worker):
    """A thread for what has a loop of its own, such as one around epoll.

    Args:
        run: the loop; returns once it was told to end, which is its owner's part before :meth:`stop`. If it
            raises, or returns before, it is run again. It calls :meth:`beat` in each turn.
        stuck_after: seconds between two beats after which it counts as stuck; None: it does not beat.
    """

    def __init__(
        self,
        name: str,
        run: Callable[[], None],
        *,
        stuck_after: float | None = None,
        clock: Clock = time.monotonic,
    ) -> None:
        super().__init__(name, self._turn, interval=0.0, stuck_after=stuck_after, clock=clock)
        self._loop = run
        self._began = 0.0

    def _turn(self) -> None:
        self._began = self._clock()
        self._loop()
        if not self.stopping.is_set():
            raise RuntimeError("it ended by itself")

    def beat(self) -> None:
        now = self._clock()
        self._busy_since = now
        if self.failures and now - self._began > STEADY_SECONDS:
            self._went_well()

    def problem(self) -> str:
        # One that does not beat works as long as it runs.
        runs = self.alive and self._busy_since is not None
        if self._stuck_after is None and runs and self._clock() - self._began > STEADY_SECONDS:
            return ""
        return super().problem()

    def _failed(self, error: Exception) -> float:
        if self._clock() - self._began > STEADY_SECONDS:
            self._forget_failures()
        return super()._failed(error)


class Workers:
    """All of a node's, for whoever asks how they are."""

    def __init__(self) -> None:
        self._workers: dict[str, Worker] = {}

    def watch(self, workers: Iterable[Worker]) -> None:
        for worker in workers:
            assert worker.name not in self._workers, worker.name
            self._workers[worker.name] = worker
            WORKER_FAILURES.labels(worker.name)
            WORKER_FAILING.labels(worker.name).set_function(partial(_failing, worker))

    def end(self) -> None:
        """Has all of them end, so that they do so at the same time; their owners wait for them."""
        for worker in self._workers.values():
            worker.end()

    def __iter__(self) -> Iterator[Worker]:
        return iter(self._workers.values())

    def problems(self) -> list[str]:
        """What is wrong with any of them, a line each."""
        return [problem for worker in list(self._workers.values()) if (problem := worker.problem())]


def _failing(worker: Worker) -> float:
    return float(bool(worker.problem()))
