"""Which piece from whom, now: pure and deterministic, driven alike by the node, the tests and a simulator.

:class:`Swarm` decides for one download what to ask of whom. ``holders`` knows who has what and how rare it
is, ``neighbour_choice`` whom to be connected to, ``news`` when to tell of new pieces. Events come in by
methods; what is to be done comes back as values.

Threads: none. Time is handed in.

Locks: none. The download that owns a swarm calls it under its own lock.

Lifetime: a swarm lives as long as its download runs, and keeps nothing on the disk.
"""

from minga_node.swarm.holders import PieceFetch
from minga_node.swarm.model import Outcome, Why
from minga_node.swarm.neighbour_choice import choose_neighbours
from minga_node.swarm.swarm import Swarm

__all__ = ["Outcome", "PieceFetch", "Swarm", "Why", "choose_neighbours"]
