"""The swarm's decisions in simulated time: a change that costs much of the bound is seen here."""

from __future__ import annotations

import pytest

from tests.bench.simulation import Simulation


@pytest.mark.parametrize(
    ("options", "most"),
    [
        ({"peers": 4, "pieces": 256}, 1.10),
        ({"peers": 8, "pieces": 256}, 1.15),
        ({"peers": 8, "pieces": 256, "kill": 2}, 1.25),
    ],
)
def test_the_last_peer_is_near_the_bound(options: dict[str, int], most: float) -> None:
    simulation = Simulation(**options)
    simulation.run()
    assert len(simulation.ratios()) == options["peers"] - options.get("kill", 0)
    assert 1.0 <= max(simulation.ratios()) <= most


def test_a_few_slow_peers_do_not_slow_down_the_others() -> None:
    simulation = Simulation(8, 256, slow=0.25)
    simulation.run()
    assert max(simulation.fast_ratios()) <= 1.30


def test_a_crowd_does_not_wait_in_the_queue_of_its_seed() -> None:
    """Without being sent away from there: 4.6."""
    simulation = Simulation(120, 64)
    simulation.run()
    assert simulation.refusals
    assert max(simulation.ratios()) <= 3.0


def test_distinct_pieces_leave_the_seed_once_before_any_leaves_it_twice() -> None:
    simulation = Simulation(8, 256)
    simulation.run()
    assert simulation.copies() <= 1.20


def test_equal_seeds_play_equally() -> None:
    one, other = Simulation(4, 64, seed=5), Simulation(4, 64, seed=5)
    one.run()
    other.run()
    assert one.ratios() == other.ratios()
