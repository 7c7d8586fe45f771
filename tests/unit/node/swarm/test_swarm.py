"""The decisions of a download, step by step, without a clock or a socket."""

from __future__ import annotations

from random import Random

from minga_node.swarm import Outcome, PieceFetch, Swarm, Why, choose_neighbours
from minga_node.swarm.neighbour_choice import MORE, MOST_NEIGHBOURS, NEIGHBOURS, Hunger
from minga_node.swarm.swarm import CANDIDATES, LATE_AT_LEAST, LONG_WAIT, SMALLEST_WINDOW
from minga_node.uploads.choice import least_sent
from minga_node.wire import piece_set as sets


def pieces_asked(asks: list[PieceFetch]) -> list[int]:
    return [piece for ask in asks for piece in ask.candidates[0]]


def deliver(swarm: Swarm, ask: PieceFetch, now: float) -> None:
    swarm.chosen(ask.id, ask.candidates[0], now)
    for piece in ask.candidates[0]:
        swarm.received(ask.id, piece, now)
    swarm.finished(ask.id)


def test_a_swarm_is_starved_when_its_holders_may_not_be_asked_for_what_they_have() -> None:
    swarm = Swarm(100)
    swarm.set_holder("a", sets.all_pieces(100), depth=2)
    asks = swarm.schedule(0.0)
    assert swarm.starved(0.0), "two requests are not what the window has room for"
    for name in "bcdefghi":
        swarm.set_holder(name, sets.all_pieces(100), depth=2)
    asks += swarm.schedule(0.0)
    assert len(asks) == SMALLEST_WINDOW
    assert not swarm.starved(0.0)


def test_more_neighbours_are_looked_for_only_after_lasting_hunger() -> None:
    hunger = Hunger()
    hunger.feels(True)
    assert hunger.limit(NEIGHBOURS) == NEIGHBOURS
    for _ in range(5):
        hunger.feels(True)
    assert hunger.limit(NEIGHBOURS) == NEIGHBOURS + MORE
    assert hunger.limit(MOST_NEIGHBOURS - 1) == MOST_NEIGHBOURS
    for _ in range(5):
        hunger.feels(False)
    assert hunger.limit(NEIGHBOURS) == NEIGHBOURS


def test_who_only_waits_in_queues_says_so() -> None:
    swarm = Swarm(9)
    swarm.set_holder("a", sets.all_pieces(9), depth=1)
    (ask,) = swarm.schedule(0.0)
    assert swarm.why(LONG_WAIT - 0.1) is Why.RUNNING
    assert swarm.why(LONG_WAIT + 0.1) is Why.CHOKED
    swarm.chosen(ask.id, ask.candidates[0], 3.0)
    assert swarm.why(60.0) is Why.RUNNING


def test_the_rarest_piece_is_asked_first() -> None:
    swarm = Swarm(4)
    swarm.set_holder("a", sets.of([0, 1, 2, 3]), depth=1)
    swarm.set_holder("b", sets.of([0, 1, 2]))
    swarm.set_holder("c", sets.of([0, 1]))
    asks = swarm.schedule(0.0)
    first = next(ask for ask in asks if ask.holder == "a")
    assert first.candidates == (range(3, 4),)


def test_no_piece_is_asked_twice_while_it_is_under_way() -> None:
    swarm = Swarm(100)
    for name in "abcd":
        swarm.set_holder(name, sets.all_pieces(100), depth=20)
    asked = pieces_asked(swarm.schedule(0.0))
    assert len(asked) == len(set(asked)) == SMALLEST_WINDOW


def test_a_holder_has_at_most_its_depth_of_requests() -> None:
    swarm = Swarm(100)
    swarm.set_holder("a", sets.all_pieces(100), depth=2)
    assert len(swarm.schedule(0.0)) == 2
    assert swarm.schedule(0.0) == []


def test_work_goes_to_the_holder_that_delivers_soonest() -> None:
    swarm = Swarm(40)
    for name in ("quick", "slow"):
        swarm.set_holder(name, sets.all_pieces(40), depth=1)
    for ask in swarm.schedule(0.0):
        deliver(swarm, ask, 0.1 if ask.holder == "quick" else 1.0)
    assert [ask.holder for ask in swarm.schedule(1.0)] == ["quick", "slow"]


def test_a_seed_is_offered_several_pieces_that_nobody_else_has() -> None:
    swarm = Swarm(200)
    swarm.set_holder("seed", 0, complete=True)
    swarm.set_holder("peer", sets.of([0, 1]))
    offered = next(ask for ask in swarm.schedule(0.0) if ask.holder == "seed").candidates
    assert len(offered) == CANDIDATES
    numbers = [piece for pieces in offered for piece in pieces]
    assert len(numbers) == len(set(numbers))
    assert not {0, 1} & set(numbers)


def test_candidates_that_were_not_chosen_are_free_again() -> None:
    swarm = Swarm(9)
    swarm.set_holder("seed", 0, complete=True, depth=1)
    swarm.set_holder("peer", 0)
    (ask,) = swarm.schedule(0.0)
    assert len(ask.candidates) > 1
    deliver(swarm, PieceFetch(ask.id, "seed", (ask.candidates[1],)), 0.1)
    left = set(range(9)) - set(ask.candidates[1])
    got: set[int] = set()
    while not swarm.complete:
        (again,) = swarm.schedule(0.2)
        got |= set(again.candidates[0])
        deliver(swarm, again, 0.3)
    assert got == left


def test_least_sent_spreads_distinct_pieces() -> None:
    sent = [1, 0, 2, 0]
    assert least_sent([range(1), range(2, 3), range(3, 4), range(1, 2)], sent) == range(3, 4)


def test_quick_holders_are_asked_for_runs() -> None:
    swarm = Swarm(400)
    swarm.set_holder("a", 0, complete=True, depth=1)
    now = 0.0
    longest = 0
    while not swarm.complete:
        (ask,) = swarm.schedule(now)
        longest = max(longest, len(ask.candidates[0]))
        swarm.chosen(ask.id, ask.candidates[0], now)
        for piece in ask.candidates[0]:
            now += 0.001
            swarm.received(ask.id, piece, now)
        swarm.finished(ask.id)
    assert longest > 8


def test_what_a_lost_holder_was_asked_goes_to_another() -> None:
    swarm = Swarm(2)
    swarm.set_holder("a", 0, complete=True)
    assert sorted(pieces_asked(swarm.schedule(0.0))) == [0, 1]
    swarm.set_holder("b", 0, complete=True)
    assert swarm.schedule(0.0) == []
    swarm.remove_holder("a")
    asks = swarm.schedule(0.0)
    assert {ask.holder for ask in asks} == {"b"}
    assert sorted(pieces_asked(asks)) == [0, 1]


def test_what_is_late_at_the_end_is_asked_of_another_too_and_counts_once() -> None:
    swarm = Swarm(1)
    swarm.set_holder("slow", 0, complete=True)
    (first,) = swarm.schedule(0.0)
    swarm.set_holder("other", 0, complete=True)
    assert swarm.schedule(LATE_AT_LEAST / 2) == []
    (second,) = swarm.schedule(LATE_AT_LEAST + 0.1)
    assert (second.holder, second.candidates) == ("other", (range(1),))
    swarm.chosen(second.id, range(1), 0.5)
    assert swarm.asked_in_vain(0) == []
    assert swarm.received(second.id, 0, 0.5) is Outcome.NEW
    assert swarm.asked_in_vain(0) == ["slow"], "it may still be spared the answer"
    swarm.chosen(first.id, range(1), 0.55)
    assert swarm.asked_in_vain(0) == [], "it is too late to spare it"
    assert swarm.received(first.id, 0, 0.6) is Outcome.DUPLICATE


def test_of_what_is_late_the_oldest_is_asked_for_again_first() -> None:
    swarm = Swarm(2)
    swarm.set_holder("slow", sets.of([0]), depth=1)
    (oldest,) = swarm.schedule(0.0)
    swarm.set_holder("slower", sets.of([1]), depth=1)
    swarm.schedule(0.1)
    swarm.set_holder("other", sets.of([0, 1]), depth=1)
    (again,) = swarm.schedule(1.0)
    assert (again.holder, again.candidates) == ("other", oldest.candidates)


def test_a_holder_that_refuses_is_left_alone_for_as_long_as_it_says() -> None:
    swarm = Swarm(4)
    swarm.set_holder("a", 0, complete=True, depth=1)
    (ask,) = swarm.schedule(0.0)
    swarm.refused(ask.id, 0.0, retry_after=2.0)
    assert swarm.schedule(0.9) == []
    assert swarm.why(0.9) is Why.CHOKED
    assert len(swarm.schedule(3.1)) == 1


def test_what_a_reader_waits_for_comes_first_and_in_order() -> None:
    swarm = Swarm(100)
    swarm.set_holder("a", 0, complete=True, depth=3)
    swarm.preferred = sets.of([10, 11, 12])
    assert pieces_asked(swarm.schedule(0.0)) == [10, 11, 12]


def test_a_holder_without_a_piece_is_not_asked_for_it_again() -> None:
    swarm = Swarm(1)
    swarm.set_holder("a", 0, complete=True)
    (ask,) = swarm.schedule(0.0)
    swarm.lacks("a", sets.of([0]))
    swarm.finished(ask.id)
    assert swarm.schedule(1.0) == []
    assert swarm.why(1.0) is Why.NOTHING_NEW


def test_rarity_follows_what_comes_and_goes() -> None:
    swarm = Swarm(3)
    swarm.set_holder("a", sets.of([0, 1]))
    swarm.set_holder("b", sets.of([0]))
    swarm.set_holder("c", sets.of([0, 1, 2]), depth=1)
    swarm.remove_holder("a")
    swarm.add_pieces("b", sets.of([2]), 0.0)
    asks = swarm.schedule(0.0)
    assert pieces_asked(asks)[0] == 1


def test_news_are_worth_a_look_if_their_holder_may_be_asked_for_some_of_them() -> None:
    swarm = Swarm(10)
    swarm.set_holder("a", sets.of([]), depth=1)
    swarm.set_holder("b", sets.of([0]), depth=3)
    [ask] = swarm.schedule(0.0)
    assert not swarm.add_pieces("b", sets.of([0]), 0.0), "it has said so before"
    assert not swarm.add_pieces("a", sets.of([0]), 0.0), "it is asked for elsewhere"
    assert swarm.add_pieces("a", sets.of([0, 1]), 0.0)
    assert pieces_asked(swarm.schedule(0.0)) == [1]
    assert not swarm.add_pieces("a", sets.of([2]), 0.0), "it has as many requests as it may have"
    assert swarm.add_pieces("b", sets.of([2, 3]), 0.0)
    deliver(swarm, ask, 0.1)
    assert not swarm.add_pieces("a", sets.of([0]), 0.1), "it is here"
    assert not swarm.add_pieces("nobody", sets.of([4]), 0.1)


def test_equal_seeds_decide_equally() -> None:
    def run(seed: int) -> list[PieceFetch]:
        swarm = Swarm(500, seed=seed)
        for name in "abc":
            swarm.set_holder(name, 0, complete=True, depth=9)
        return swarm.schedule(0.0)

    assert run(7) == run(7)
    assert run(7) != run(8)


def test_a_swarm_without_holders_says_so() -> None:
    assert Swarm(1).why(0.0) is Why.NO_HOLDER


def test_neighbours_are_few_complete_holders_and_many_others() -> None:
    known = [f"peer{n}" for n in range(100)] + [f"seed{n}" for n in range(10)]
    complete = [name for name in known if name.startswith("seed")]
    chosen = choose_neighbours(known, complete, ["seed1"], Random(3), limit=20, limit_complete=4)
    assert len(chosen) == len(set(chosen)) == 19
    assert sum(name in complete for name in chosen) == 3


def test_neighbours_are_complete_ones_when_there_are_no_others() -> None:
    seeds = [f"seed{n}" for n in range(10)]
    assert len(choose_neighbours(seeds, seeds, [], Random(3), limit=8, limit_complete=2)) == 8


def test_who_follows_is_followed_although_there_are_enough() -> None:
    known = [f"peer{number}" for number in range(40)]
    current = known[:8]
    chosen = choose_neighbours(known, [], current, Random(3), followers=known[6:11], limit=8, most=24)
    assert sorted(chosen) == ["peer10", "peer8", "peer9"]
    crowd = choose_neighbours(known, [], current, Random(3), followers=known, limit=8, most=24)
    assert len(crowd) == 16
