"""The node's end of the message broker."""

from minga_node.mom.address import Address, trust
from minga_node.mom.mom import Mom
from minga_node.mom.topology import Topology

__all__ = ["Address", "Mom", "Topology", "trust"]
