from __future__ import annotations

from minga_node.swarm.news import ENOUGH, INTERVAL, LONGEST, seconds_until_told
from minga_node.uploads.choice import still_wanted
from minga_node.uploads.fair_queue import CREDIT, FairQueue
from minga_node.wire import piece_set as sets


def test_parties_take_turns_whatever_the_number_of_their_requests() -> None:
    queue: FairQueue[str] = FairQueue()
    for item in ("a1", "a2", "a3"):
        queue.add("a", item)
    queue.add("b", "b1")
    taken = []
    while queue:
        item = queue.take()
        taken.append(item)
        queue.charge(item[0], 1.0)
    assert taken == ["a1", "b1", "a2", "a3"]


def test_whose_answers_cost_more_gets_fewer() -> None:
    queue: FairQueue[str] = FairQueue()
    cost = {"quick": 1.0, "slow": 4.0}
    got = {"quick": 0, "slow": 0}
    for party in cost:
        queue.add(party, party)
    for _ in range(100):
        party = queue.take()
        got[party] += 1
        queue.charge(party, cost[party])
        queue.add(party, party)
    assert got["quick"] == 4 * got["slow"]


def test_who_was_away_does_not_come_back_with_all_that_it_missed() -> None:
    queue: FairQueue[str] = FairQueue()
    queue.add("away", "away")
    queue.take()
    for _ in range(100):
        queue.add("busy", "busy")
        queue.charge(queue.take(), CREDIT)
    queue.add("busy", "busy")
    turns = 0
    while True:
        queue.add("away", "away")
        if queue.take() == "busy":
            break
        queue.charge("away", CREDIT)
        turns += 1
    assert turns <= 2


def test_a_discarded_item_does_not_come() -> None:
    queue: FairQueue[str] = FairQueue()
    queue.add("a", "one")
    queue.add("a", "two")
    queue.discard("a", "one")
    assert (len(queue), queue.take(), len(queue)) == (1, "two", 0)


def test_what_the_requester_has_meanwhile_is_not_sent() -> None:
    assert still_wanted([range(3), range(4, 5)], sets.of([0, 1, 4])) == [range(3)]


def test_first_pieces_are_told_soon_and_later_ones_together() -> None:
    assert seconds_until_told(INTERVAL, new=1, total=1) <= 0
    assert seconds_until_told(INTERVAL, new=1, total=100) > 0
    assert seconds_until_told(INTERVAL, new=ENOUGH, total=100) <= 0
    assert seconds_until_told(LONGEST, new=1, total=100) <= 0


def test_ahead_of_a_party_are_those_that_get_their_turn_before_it() -> None:
    queue: FairQueue[str] = FairQueue()
    for party, count in {"one": 1, "many": 50}.items():
        for _ in range(count):
            queue.add(party, party)
    assert queue.ahead("new") == 2
    assert queue.ahead("one") == 3
    assert queue.ahead("many") == 51
    queue.add("new", "new")
    expected, taken = queue.ahead("new"), 0
    queue.add("new", "last")
    while (item := queue.take()) != "last":
        taken += 1
        queue.charge(item, 1.0)
    assert taken == expected


def test_a_party_may_be_left_out() -> None:
    queue: FairQueue[str] = FairQueue()
    queue.add("slow", "of the slow")
    assert queue.ready()
    assert not queue.ready({"slow"})
    queue.add("other", "of the other")
    assert queue.take({"slow"}) == "of the other"
    assert queue.take() == "of the slow"


def test_what_does_not_wait_cannot_be_discarded() -> None:
    queue: FairQueue[str] = FairQueue()
    queue.add("a", "one")
    assert [queue.discard("a", "two"), queue.discard("b", "one"), queue.discard("a", "one")] == [
        False,
        False,
        True,
    ]
    assert not queue.ready()
