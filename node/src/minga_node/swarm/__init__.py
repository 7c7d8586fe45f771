"""Which piece from whom, now: pure and deterministic, driven alike by the node, the tests and a simulator."""

from minga_node.swarm.admission import Admission
from minga_node.swarm.choice import least_sent, still_wanted
from minga_node.swarm.holders import Ask
from minga_node.swarm.model import Outcome, Why
from minga_node.swarm.neighbours import choose_neighbours
from minga_node.swarm.queue import FairQueue
from minga_node.swarm.shares import Shares
from minga_node.swarm.swarm import Swarm

__all__ = [
    "Admission",
    "Ask",
    "FairQueue",
    "Outcome",
    "Shares",
    "Swarm",
    "Why",
    "choose_neighbours",
    "least_sent",
    "still_wanted",
]
