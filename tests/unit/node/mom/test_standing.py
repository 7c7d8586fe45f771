"""What is said of the broker, and who is told when it carries nothing more."""

from __future__ import annotations

import logging

import pytest

from minga_node.metrics import BROKER_BLOCKED, BROKER_CONNECTED
from minga_node.mom.standing import Standing


def values() -> tuple[float, float]:
    return BROKER_CONNECTED._value.get(), BROKER_BLOCKED._value.get()


def test_a_lapse_is_told_when_what_was_carried_is_so_no_more_and_not_before_or_twice() -> None:
    standing = Standing()
    lapses: list[str] = []
    standing.on_lapse.append(lambda: lapses.append(standing.state.problem))
    standing.down("b", "no")
    assert lapses == []
    standing.up("b")
    standing.blocked("low on memory")
    standing.hindered("the broker confirms no messages")
    standing.down("b", "gone")
    assert lapses == ["blocked by the broker: low on memory"]
    standing.up("b")
    standing.hindered("the broker confirms no messages")
    standing.hindered("")
    standing.down("b", "gone")
    assert lapses[1:] == ["the broker confirms no messages", "away: gone (b)"]


def test_the_metrics_follow() -> None:
    standing = Standing()
    standing.up("b")
    assert values() == (1, 0)
    standing.blocked("low on disk")
    assert values() == (1, 1)
    standing.down("b", "gone")
    assert values() == (0, 0)
    standing.up("b")
    assert standing.state.problem == "", "what the connection before was told is over"
    assert values() == (1, 0)


def test_each_reason_is_logged_once_until_it_was_connected(caplog: pytest.LogCaptureFixture) -> None:
    standing = Standing()
    with caplog.at_level(logging.WARNING):
        for why in ("a", "b", "a"):
            standing.down("amqp://h:1", why)
        standing.up("amqp://h:1")
        standing.down("amqp://h:1", "a")
    said = [record.getMessage() for record in caplog.records]
    tail = "; messages wait, keeps trying"
    assert said == [f"the broker amqp://h:1 is away: {why}{tail}" for why in ("a", "b", "a")]
