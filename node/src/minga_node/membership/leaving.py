"""How a node leaves: some peers hear its goodbye from itself, and they tell the others."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from minga_node.errors import MingaError
from minga_node.membership.goodbyes import Goodbye
from minga_node.membership.messages import GossipCalls
from minga_node.model import Peer

log = logging.getLogger(__name__)

FAREWELL_PEERS = 16
"""Peers that the node tells goodbye by itself, at most."""
FAREWELL_SECONDS = 2.0
"""Time for all of these calls together."""


def say_goodbye(
    goodbye: Goodbye, peers: Iterable[Peer], calls: GossipCalls, pool: ThreadPoolExecutor
) -> None:
    """Tells some of the peers that this node leaves. Returns when they answered, or after two seconds."""
    told = list(peers)
    random.shuffle(told)
    waiting = [pool.submit(calls.leave, peer.grpc_target, goodbye) for peer in told[:FAREWELL_PEERS]]
    deadline = time.monotonic() + FAREWELL_SECONDS
    for future in waiting:
        try:
            future.result(max(0.0, deadline - time.monotonic()))
        except (MingaError, TimeoutError) as error:
            log.debug("a peer did not take the goodbye: %s", error)
