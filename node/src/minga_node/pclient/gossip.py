"""Calls about members and logs: joining, goodbyes, rounds of gossip."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from minga_node.errors import PeerMisbehaved, PeerUnreachable
from minga_node.index import Delta
from minga_node.membership import DeltaStream, Fetch, Goodbye, Joined, Push, Reconcile, Reconciled
from minga_node.metrics import GOSSIP_BYTES
from minga_node.model import Peer, PeerState
from minga_node.pclient.channels import Channels, grpc_errors
from minga_node.pclient.messages import (
    delta_from_message,
    delta_to_message,
    digest_from_message,
    digest_to_message,
)
from minga_node.pclient.peers import from_message, to_message
from minga_protos.v1 import index_pb2, index_pb2_grpc, membership_pb2, membership_pb2_grpc

JOIN_SECONDS = 5.0
ROUND_SECONDS = 10.0
LEAVE_SECONDS = 2.0
FETCH_SECONDS = 600.0
"""Time for one stream; what is lacking then comes with the next one."""


class GossipClient:
    """See :class:`minga_node.membership.GossipCalls`."""

    def __init__(self, channels: Channels) -> None:
        self._channels = channels

    def join(self, target: str, network: str, peer: Peer, network_id: str = "") -> Joined:
        request = membership_pb2.JoinRequest(network=network, peer=to_message(peer), network_id=network_id)
        try:
            with grpc_errors(target):
                stub = membership_pb2_grpc.MembershipStub(self._channels.channel(target))
                answer = stub.Join(request, timeout=JOIN_SECONDS)
        except PeerUnreachable as error:
            if why := self._channels.credentials.explain(target):
                raise PeerUnreachable(f"{target}: {why}") from error
            raise
        others = tuple(
            from_message(status.peer)
            for status in answer.peers
            if status.state in {membership_pb2.PEER_STATE_ALIVE, membership_pb2.PEER_STATE_SUSPECT}
        )
        return Joined(from_message(answer.self), others, answer.network_id)

    def ping(self, target: str, seconds: float) -> None:
        # What every release answers, at little cost.
        with grpc_errors(target):
            stub = membership_pb2_grpc.MembershipStub(self._channels.channel(target))
            stub.GetRoom(membership_pb2.GetRoomRequest(), timeout=seconds)

    def probe(self, target: str, network: str, id_: str) -> str:
        with grpc_errors(target):
            stub = membership_pb2_grpc.MembershipStub(self._channels.channel(target))
            answer = stub.Probe(membership_pb2.ProbeRequest(network=network, id=id_), timeout=JOIN_SECONDS)
        return "" if answer.answers else answer.problem or "does not answer"

    def leave(self, target: str, goodbye: Goodbye) -> None:
        request = membership_pb2.LeaveRequest(
            id=goodbye.id, epoch=goodbye.epoch, heartbeat=goodbye.heartbeat, signature=goodbye.signature
        )
        with grpc_errors(target):
            membership_pb2_grpc.MembershipStub(self._channels.channel(target)).Leave(
                request, timeout=LEAVE_SECONDS
            )

    def room(self, target: str) -> int:
        """Bytes that a node can still take."""
        with grpc_errors(target):
            stub = membership_pb2_grpc.MembershipStub(self._channels.channel(target))
            return stub.GetRoom(membership_pb2.GetRoomRequest(), timeout=JOIN_SECONDS).free_bytes

    def reconcile(self, target: str, message: Reconcile) -> Reconciled:
        request = index_pb2.ReconcileRequest(
            network=message.network,
            sender=to_message(message.sender),
            digests=map(digest_to_message, message.digests),
            max_bytes=message.max_bytes,
            start=message.start,
            since=message.since,
            network_id=message.network_id,
        )
        with grpc_errors(target):
            stub = index_pb2_grpc.IndexStub(self._channels.channel(target))
            answer = stub.Reconcile(request, timeout=ROUND_SECONDS)
        GOSSIP_BYTES.labels("out").inc(request.ByteSize())
        GOSSIP_BYTES.labels("in").inc(answer.ByteSize())
        return Reconciled(
            answer.id,
            tuple(map(digest_from_message, answer.digests)),
            tuple(map(delta_from_message, answer.deltas)),
            tuple(map(digest_from_message, answer.wanted)),
            answer.more,
            tuple(map(from_message, answer.peers)),
            answer.start,
            answer.sequence,
            answer.network_id,
        )

    def fetch(self, target: str, message: Fetch) -> DeltaStream:
        request = index_pb2.FetchRequest(
            network=message.network,
            sender=to_message(message.sender),
            digests=map(digest_to_message, message.digests),
            network_id=message.network_id,
        )
        GOSSIP_BYTES.labels("out").inc(request.ByteSize())
        with grpc_errors(target):
            stub = index_pb2_grpc.IndexStub(self._channels.channel(target))
            return _Fetching(target, stub.Fetch(request, timeout=FETCH_SECONDS))

    def push(self, target: str, message: Push) -> None:
        request = index_pb2.PushRequest(
            network=message.network,
            sender=to_message(message.sender),
            digests=map(digest_to_message, message.digests),
            deltas=map(delta_to_message, message.deltas),
            peers=map(to_message, message.peers),
            network_id=message.network_id,
        )
        with grpc_errors(target):
            index_pb2_grpc.IndexStub(self._channels.channel(target)).Push(request, timeout=ROUND_SECONDS)
        GOSSIP_BYTES.labels("out").inc(request.ByteSize())

    def forget(self, target: str) -> None:
        self._channels.forget(target)


class _Fetching:
    def __init__(self, target: str, call: Any) -> None:
        self._target, self._call = target, call

    def cancel(self) -> None:
        self._call.cancel()

    def __iter__(self) -> Iterator[tuple[Delta, ...]]:
        try:
            while (answer := self._next()) is not None:
                GOSSIP_BYTES.labels("in").inc(answer.ByteSize())
                yield tuple(map(delta_from_message, answer.deltas))
        finally:
            self._call.cancel()

    def _next(self) -> index_pb2.FetchResponse | None:
        try:
            with grpc_errors(self._target):
                return next(self._call, None)
        except PeerMisbehaved as error:
            # A refusal is what it says of us, and no proof against it.
            raise PeerUnreachable(str(error)) from error


STATES = {
    PeerState.ALIVE: membership_pb2.PEER_STATE_ALIVE,
    PeerState.SUSPECT: membership_pb2.PEER_STATE_SUSPECT,
    PeerState.DEAD: membership_pb2.PEER_STATE_DEAD,
    PeerState.LEFT: membership_pb2.PEER_STATE_LEFT,
}
