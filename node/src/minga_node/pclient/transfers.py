"""Asks the other nodes what they receive, all at once and only for a moment, or one to take a file."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from minga_node.errors import MingaError
from minga_node.model import Flow, LocalFile, Peer
from minga_node.pclient.channels import Channels, grpc_errors
from minga_protos.v1 import transfers_pb2, transfers_pb2_grpc

log = logging.getLogger(__name__)

ANSWER_SECONDS = 1.0
"""How long a node has to answer."""
FRESH_SECONDS = 0.5
"""Seconds for which an answer serves everybody who asks."""
MOST_ASKED_NODES = 128
"""Nodes asked at most; of a larger network, random ones."""
CALLS_AT_ONCE = 16
TAKE_SECONDS = 10.0


def take_over(channels: Channels, peer: Peer, file: LocalFile) -> bool:
    """Has a peer fetch a file into its library; whether it has begun."""
    request = transfers_pb2.TakeOverRequest(content_id=bytes.fromhex(file.id), name=file.name)
    try:
        with grpc_errors(peer.grpc_target):
            stub = transfers_pb2_grpc.TransfersStub(channels.channel(peer.grpc_target))
            stub.TakeOver(request, timeout=TAKE_SECONDS)
    except MingaError as error:
        log.info("%s does not take %s over: %s", peer.id, file.name, error)
        return False
    return True


class Transfers:
    """The flows of the whole network, as far as its nodes answer.

    Args:
        own: what this node receives.
        alive: the other nodes.
    """

    def __init__(
        self,
        channels: Channels,
        own: Callable[[], Sequence[Flow]],
        alive: Callable[[], Sequence[Peer]],
    ) -> None:
        self._channels, self._own, self._alive = channels, own, alive
        self._lock = threading.Lock()
        self._last: tuple[Flow, ...] = ()
        self._at = -FRESH_SECONDS

    def flows(self) -> tuple[Flow, ...]:
        """What every node receives; a node that does not answer in time is left out."""
        with self._lock:
            if time.monotonic() - self._at >= FRESH_SECONDS:
                self._last = self._ask()
                self._at = time.monotonic()
            return self._last

    def _ask(self) -> tuple[Flow, ...]:
        peers = list(self._alive())
        if len(peers) > MOST_ASKED_NODES:
            peers = random.sample(peers, MOST_ASKED_NODES)
        flows = list(self._own())
        with ThreadPoolExecutor(CALLS_AT_ONCE, "flows") as pool:
            for answer in pool.map(self._of, peers):
                flows.extend(answer)
        return tuple(flows)

    def _of(self, peer: Peer) -> Sequence[Flow]:
        try:
            with grpc_errors(peer.grpc_target):
                stub = transfers_pb2_grpc.TransfersStub(self._channels.channel(peer.grpc_target))
                answer = stub.ListReceived(transfers_pb2.ListReceivedRequest(), timeout=ANSWER_SECONDS)
        except MingaError as error:
            log.debug("%s does not tell its transfers: %s", peer.id, error)
            return ()
        return [Flow(one.download, one.from_peer, peer.id, one.bytes) for one in answer.received]
