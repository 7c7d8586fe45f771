"""Where copies go."""

from __future__ import annotations

from collections import Counter

from minga_node.requests.copy_placement import lot, order, place

PEERS = [f"peer-{n}" for n in range(10)]
GB = 10**9


def test_as_many_are_chosen_as_are_missing_and_nobody_who_has_it_or_is_at_it() -> None:
    room = dict.fromkeys(PEERS, GB)
    chosen = place("ab", 5, PEERS[:2], PEERS[2:4], room, 1000)
    assert len(chosen) == 1
    assert not set(chosen) & set(PEERS[:4])
    assert place("ab", 4, PEERS[:2], PEERS[2:4], room, 1000) == ()


def test_nobody_is_filled_to_the_brim() -> None:
    assert place("ab", 2, (), (), {"full": 1099, "fits": 1100}, 1000) == ["fits"]


def test_who_asks_does_not_matter() -> None:
    room = dict.fromkeys(PEERS, GB)
    backwards = dict.fromkeys(reversed(PEERS), GB)
    for n in range(50):
        assert place(f"{n}", 3, (), (), room, 1) == place(f"{n}", 3, (), (), backwards, 1)
        assert order(f"{n}", PEERS) == order(f"{n}", reversed(PEERS))


def test_one_more_node_takes_its_share_and_moves_nothing_else() -> None:
    room = dict.fromkeys(PEERS, GB)
    before = {n: place(f"{n}", 1, (), (), room, 1)[0] for n in range(1000)}
    after = {n: place(f"{n}", 1, (), (), {**room, "new": GB}, 1)[0] for n in range(1000)}
    moved = [n for n in before if before[n] != after[n]]
    assert {after[n] for n in moved} == {"new"}
    assert 50 < len(moved) < 140, "about one in eleven"


def test_twice_the_room_is_chosen_about_twice_as_often() -> None:
    room = {"small": 10 * GB, "large": 20 * GB}
    counts = Counter(place(f"{n}", 1, (), (), room, 1)[0] for n in range(3000))
    assert 1.8 < counts["large"] / counts["small"] < 2.2, counts


def test_a_lot_is_a_number_between_nothing_and_one() -> None:
    lots = [lot(f"{n}", peer) for n in range(200) for peer in PEERS]
    assert all(0 < each < 1 for each in lots)
    assert 0.45 < sum(lots) / len(lots) < 0.55
