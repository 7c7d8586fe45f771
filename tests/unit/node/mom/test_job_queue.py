"""A node's queue of jobs at a broker that answers, answers never, or changes its mind."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from minga_node.mom.job_queue import ANSWER_SECONDS, LONGEST_PAUSE, SHORTEST_PAUSE, JobQueue
from minga_node.mom.topology import Topology

QUEUE = "minga.test.jobs.near"


class Channel:
    """The broker's answers are given by the test."""

    def __init__(self) -> None:
        self.is_open = True
        self.on_close: list[Callable[[Any, Any], None]] = []
        self.on_cancel: Callable[[Any], None] = lambda _frame: None
        self.consumed: Callable[[Any], None] | None = None
        self.declared: Callable[[Any], None] | None = None

    def add_on_close_callback(self, callback: Callable[[Any, Any], None]) -> None:
        self.on_close.append(callback)

    def add_on_cancel_callback(self, callback: Callable[[Any], None]) -> None:
        self.on_cancel = callback

    def basic_qos(self, **_: object) -> None: ...

    def queue_bind(self, *_: object, **__: object) -> None: ...

    def queue_declare(self, _name: str, *, callback: Callable[[Any], None], **_: object) -> None:
        self.declared = callback

    def basic_consume(self, _name: str, _give: object, *, callback: Callable[[Any], None]) -> None:
        self.consumed = callback

    def close(self) -> None:
        self.is_open = False
        for callback in self.on_close:
            callback(self, ConnectionError("we closed it"))

    def answers(self) -> None:
        assert self.consumed is not None
        self.consumed(None)

    def has_consumers(self, count: int) -> None:
        assert self.declared is not None
        self.declared(SimpleNamespace(method=SimpleNamespace(consumer_count=count)))


class Broker:
    def __init__(self) -> None:
        self.channels: list[Channel] = []
        self.later: list[tuple[float, Callable[[], None]]] = []
        self.said: list[str] = []
        self.blocked = False
        self.jobs = JobQueue(
            Topology("test"),
            "near",
            self._open,  # type: ignore[arg-type]
            lambda seconds, callback: self.later.append((seconds, callback)),
            lambda: self.blocked,
            lambda _delivery: None,
            self.said.append,
        )

    def _open(self, on_open: Callable[[Channel], None]) -> None:
        self.channels.append(Channel())
        on_open(self.channels[-1])

    def wait(self) -> list[float]:
        """Until the next moment; how long what came then had waited."""
        due, self.later = self.later, []
        for _, callback in due:
            callback()
        return [seconds for seconds, _ in due]


@pytest.fixture
def broker() -> Broker:
    broker = Broker()
    broker.jobs.begin()
    return broker


def test_it_says_so_when_jobs_come(broker: Broker) -> None:
    broker.channels[0].answers()
    assert broker.said == [""]
    assert broker.wait() == [ANSWER_SECONDS]
    assert broker.said == [""]
    assert broker.later == []


def test_a_broker_that_never_answers_is_asked_again_ever_more_rarely(broker: Broker) -> None:
    pauses = []
    for _ in range(12):
        broker.wait()
        assert broker.said[-1] == f"no jobs come from the queue {QUEUE}: the broker does not answer"
        assert not any(channel.is_open for channel in broker.channels)
        pauses += broker.wait()
    assert pauses[0] == SHORTEST_PAUSE
    assert pauses == sorted(pauses)
    assert pauses[-1] == LONGEST_PAUSE
    assert len(broker.channels) == 13
    broker.channels[-1].answers()
    assert broker.said[-1] == ""


def test_an_answer_to_an_earlier_question_is_none(broker: Broker) -> None:
    broker.wait()
    broker.wait()
    before = list(broker.said)
    broker.channels[0].answers()
    assert broker.said == before


def test_a_broker_that_is_blocked_is_waited_for(broker: Broker) -> None:
    broker.blocked = True
    for _ in range(5):
        broker.wait()
    assert broker.said == []
    assert len(broker.channels) == 1


def test_it_consumes_again_at_once_when_the_broker_cancels(broker: Broker) -> None:
    broker.channels[0].answers()
    broker.channels[0].on_cancel(None)
    assert "it cancelled the consumer" in broker.said[-1]
    assert min(broker.wait()) < SHORTEST_PAUSE
    broker.channels[1].answers()
    assert broker.said[-1] == ""


def test_a_consumer_that_is_missed_at_two_looks_is_made_again(broker: Broker) -> None:
    broker.channels[0].answers()
    broker.wait()
    for count in (1, 0):
        broker.jobs.again()
        broker.channels[-1].has_consumers(count)
    assert broker.said == [""]
    broker.wait()
    broker.channels[-1].has_consumers(0)
    assert "nobody consumes it" in broker.said[-1]
    broker.wait()
    broker.channels[-1].answers()
    assert broker.said[-1] == ""


def test_a_look_that_is_not_answered_changes_nothing(broker: Broker) -> None:
    broker.channels[0].answers()
    broker.wait()
    broker.jobs.again()
    assert broker.said == [""]
    assert broker.later == []
