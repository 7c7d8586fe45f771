"""Who is in the network: joining, gossip, failure detection, and the rounds that keep all indices equal.

:class:`Membership` puts the parts together. ``joining`` finds the network. A round (``rounds``,
``round_partners``) meets a few peers: ``gossip`` is the half that calls, ``callee`` the half that answers,
``hearing`` takes in what either of them hears. ``rumours`` pushes news at once. ``view`` (pure) has what is
thought of others. gRPC is handed in as :class:`GossipCalls`, so that no channel is known here.

Threads: the workers ``membership`` and ``news``, and the pools ``gossip`` (eight), ``seeds`` and ``probe``. A
catch-up has a thread of its own (``catch-up``) while it lasts. Answers run in the callers' threads.

Locks: one guards the view and comes after the store's writer. The small ones (answers, identities, states,
catch-up slots) come last. No call to a peer is made under a lock. Listeners (``on_state``, ``on_joined``) are
called without one.

Lifetime: all of it lives as long as its node. Records of other nodes are in the database, so that a restarted
node knows whom to call.
"""

from minga_node.membership.address import OwnAddress
from minga_node.membership.goodbyes import Goodbye
from minga_node.membership.membership import Membership
from minga_node.membership.messages import (
    DeltaStream,
    Fetch,
    GossipCalls,
    Joined,
    Push,
    Reconcile,
    Reconciled,
)
from minga_node.membership.scuttlebutt import Digest

__all__ = [
    "DeltaStream",
    "Digest",
    "Fetch",
    "Goodbye",
    "GossipCalls",
    "Joined",
    "Membership",
    "OwnAddress",
    "Push",
    "Reconcile",
    "Reconciled",
]
