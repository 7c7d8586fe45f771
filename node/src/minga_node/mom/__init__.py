"""The node's end of the message broker."""

from minga_node.mom.address import trust
from minga_node.mom.addresses import BrokerAddresses
from minga_node.mom.mom import Mom
from minga_node.mom.topology import Topology

__all__ = ["BrokerAddresses", "Mom", "Topology", "trust"]
