from __future__ import annotations

from collections.abc import Mapping

import pytest

from minga_node.swarm.rate import SECONDS, Rate
from minga_node.uploads.cost import MOST_COST, MOST_SHARES, UploadCost
from minga_node.uploads.fair_queue import FairQueue

PIECE = 128 * 1024


def turns(rates: Mapping[str, float], count: int = 4000) -> dict[str, int]:
    """Of parties that always ask, by their rates."""
    queue: FairQueue[str] = FairQueue()
    got = dict.fromkeys(rates, 0)
    for party in rates:
        queue.add(party, party)
    for _ in range(count):
        party = queue.take()
        got[party] += 1
        queue.charge(party, PIECE, rates[party])
        queue.add(party, party)
    return got


def test_parties_of_about_the_same_rate_get_the_same() -> None:
    got = turns({"late": 5e6, "usual": 12e6, "early": 13e6, "young": 0.0})
    assert max(got.values()) - min(got.values()) <= 1


def test_a_party_at_a_quarter_of_the_rate_gets_about_a_quarter() -> None:
    got = turns({"slow": 3e6, "a": 12e6, "b": 12e6, "c": 12e6})
    assert got["slow"] == pytest.approx(got["a"] / 4, rel=0.1)


def test_who_has_almost_stopped_still_gets_something() -> None:
    got = turns({"slow": 1.0, "a": 12e6, "b": 12e6, "c": 12e6})
    assert got["slow"] == pytest.approx(got["a"] / MOST_COST, rel=0.1)


def test_who_claims_to_be_quicker_than_can_be_does_not_starve_the_others() -> None:
    got = turns({"claims": 1e15, "a": 12e6, "b": 12e6, "c": 12e6})
    assert got["claims"] == pytest.approx(MOST_SHARES * got["a"], rel=0.1)
    assert got["a"] == pytest.approx(got["b"], rel=0.05)


def test_answers_cost_by_their_bytes() -> None:
    shares = UploadCost()
    assert (shares.cost("a", PIECE, 0.0), shares.cost("b", 4 * PIECE, 1e6)) == (PIECE, 4 * PIECE)


def test_a_rate_is_known_after_a_whole_second() -> None:
    rate = Rate()
    assert rate.known(100.0) == 0.0
    for number in range(50):
        rate.add(number * 0.1)
        assert (rate.known(number * 0.1) > 0) == (number * 0.1 >= SECONDS)
    assert rate.known(4.9) == pytest.approx(10, abs=1)
    assert rate.pieces(10.0) == 0.0
