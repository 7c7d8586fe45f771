"""Which piece from whom, now: pure and deterministic, driven alike by the node, the tests and a simulator."""

from minga_node.swarm.holders import PieceFetch
from minga_node.swarm.model import Outcome, Why
from minga_node.swarm.neighbour_choice import choose_neighbours
from minga_node.swarm.swarm import Swarm

__all__ = ["Outcome", "PieceFetch", "Swarm", "Why", "choose_neighbours"]
