"""Who is in the network: joining, gossip, failure detection."""

from minga_node.membership.address import Address
from minga_node.membership.goodbyes import Goodbye
from minga_node.membership.membership import Membership
from minga_node.membership.messages import Fetch, GossipCalls, Push, Reconcile, Reconciled

__all__ = ["Address", "Fetch", "Goodbye", "GossipCalls", "Membership", "Push", "Reconcile", "Reconciled"]
