"""Who is in the network: joining, gossip, failure detection."""

from minga_node.membership.address import OwnAddress
from minga_node.membership.goodbyes import Goodbye
from minga_node.membership.membership import Membership
from minga_node.membership.messages import Fetch, GossipCalls, Push, Reconcile, Reconciled

__all__ = ["Fetch", "Goodbye", "GossipCalls", "Membership", "OwnAddress", "Push", "Reconcile", "Reconciled"]
