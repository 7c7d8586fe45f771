"""How long a request would have to wait, and whether it may."""

from __future__ import annotations

import pytest

from minga_node.uploads.admission import LONGEST_RETRY, LONGEST_WAIT, Admission, QueuePace
from minga_node.uploads.fair_queue import FairQueue

SLOTS = 8


def moving(pace: QueuePace, *, since: float, every: float, turns: int, waiting: int = 100) -> float:
    """One turn after another while others wait; when that is over."""
    pace.moved(since, 0, waiting)
    for turn in range(turns):
        pace.moved(since + (turn + 1) * every, 1, waiting)
    return since + turns * every


def crowded(parties: int, each: int = 1) -> FairQueue[str]:
    queue: FairQueue[str] = FairQueue()
    for party in range(parties):
        for _ in range(each):
            queue.add(f"party{party}", "request")
    return queue


def test_the_wait_is_as_many_turns_as_are_ahead() -> None:
    pace = QueuePace()
    now = moving(pace, since=100.0, every=0.2, turns=50)
    assert pace.wait(9, now) == pytest.approx(2.0, rel=0.05)
    assert pace.wait(0, now) == pytest.approx(0.2, rel=0.05)
    pace.moved(now, 1, 0)
    assert pace.wait(0, now) == 0


def test_turns_at_once_are_as_good_as_one_after_another() -> None:
    pace = QueuePace()
    pace.moved(0.0, 0, 100)
    for batch in range(10):
        pace.moved(1.6 * (batch + 1), SLOTS, 100)
    assert pace.wait(9, 16.0) == pytest.approx(2.0, rel=0.2)


def test_time_in_which_nobody_waits_does_not_count() -> None:
    pace = QueuePace()
    for _ in range(5):
        now = moving(pace, since=0.0, every=0.01, turns=20)
        pace.moved(now, 1, 0)
    pace.moved(now + 1000, 1, 0)
    assert pace.wait(10, now + 1000) < 0.2


def test_a_queue_that_stands_still_shows_it_and_is_forgiven() -> None:
    pace = QueuePace()
    now = moving(pace, since=0.0, every=0.02, turns=50)
    assert pace.wait(0, now + 6.0) >= 6.0
    assert pace.wait(1, moving(pace, since=now + 6.0, every=0.02, turns=50)) < 0.1


def test_a_quicker_pace_is_learnt_within_a_few_turns() -> None:
    pace = QueuePace()
    now = moving(pace, since=0.0, every=1.0, turns=40)
    assert pace.wait(10, moving(pace, since=now, every=0.01, turns=40)) < 0.3


def test_who_would_wait_too_long_is_refused_and_told_for_how_long() -> None:
    admission = Admission(SLOTS)
    now = moving(admission.pace, since=0.0, every=0.1, turns=50)
    assert admission.refuses(crowded(23), "new", now) == 0
    assert admission.refuses(crowded(59), "new", now) == 6
    assert admission.refuses(crowded(1000), "new", now) == LONGEST_RETRY


def test_the_many_requests_of_one_party_do_not_keep_others_out() -> None:
    admission = Admission(SLOTS)
    now = moving(admission.pace, since=0.0, every=0.1, turns=50)
    queue = crowded(2, each=100)
    assert admission.refuses(queue, "new", now) == 0
    assert admission.refuses(queue, "party0", now) == 20
    assert admission.refuses(queue, "new", now + 6) > LONGEST_WAIT, "whoever is first, it stands still"


def test_before_anything_is_measured_a_crowd_is_not_let_in_whole() -> None:
    admission = Admission(SLOTS)
    queue: FairQueue[str] = FairQueue()
    admission.pace.moved(0.0, SLOTS, 1)
    while not admission.refuses(queue, f"party{len(queue)}", 0.0):
        queue.add(f"party{len(queue)}", "request")
    assert SLOTS < len(queue) < 100


def test_a_few_may_always_wait_or_a_free_slot_would_find_nobody() -> None:
    admission = Admission(SLOTS)
    admission.pace.moved(0.0, SLOTS, 1)
    assert admission.refuses(crowded(SLOTS - 1), "new", 100.0) == 0
    assert admission.refuses(crowded(SLOTS), "new", 100.0) > LONGEST_WAIT
