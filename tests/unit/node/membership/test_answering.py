"""Who is heard and does not answer."""

from __future__ import annotations

from minga_node.membership.answering import ASK_SECONDS, Answers, Reachability


def test_one_failed_call_is_nothing_and_some_that_last_are() -> None:
    it = Reachability(patience=10)
    it.failed("a", 0.0)
    assert it.of("a", 60.0) is Answers.YES
    it.failed("a", 9.0)
    assert it.of("a", 9.9) is Answers.YES
    assert it.of("a", 10.0) is Answers.NOT_HERE
    it.answered("a")
    assert it.of("a", 10.0) is Answers.YES
    assert it.failing() == set()


def test_others_are_asked_now_and_then_and_what_they_say_counts() -> None:
    it = Reachability(patience=10)
    it.failed("a", 0.0)
    it.failed("a", 5.0)
    assert it.to_ask_about(9.0) == []
    assert it.to_ask_about(10.0) == ["a"]
    assert it.to_ask_about(10.1) == []
    it.others_say("a", nobody=True)
    assert it.of("a", 11.0) is Answers.NOBODY
    assert it.to_ask_about(10.0 + ASK_SECONDS) == ["a"]
    it.others_say("a", nobody=False)
    assert it.of("a", 21.0) is Answers.NOT_HERE
