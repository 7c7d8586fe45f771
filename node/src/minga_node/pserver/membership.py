"""gRPC service ``minga.v1.Membership``."""

from __future__ import annotations

from collections.abc import Callable

import grpc

from minga_node.membership import Goodbye, Membership
from minga_node.pclient.gossip import STATES
from minga_node.pclient.peers import from_message, to_message
from minga_protos.v1 import membership_pb2, membership_pb2_grpc

NAME = "minga.v1.Membership"


class MembershipService(membership_pb2_grpc.MembershipServicer):
    """Answers newcomers, leavers and the curious.

    Args:
        room: bytes that this node can still take.
    """

    def __init__(self, membership: Membership, room: Callable[[], int] = lambda: 0) -> None:
        self._membership, self._room = membership, room

    def register(self, server: grpc.Server) -> None:
        membership_pb2_grpc.add_MembershipServicer_to_server(self, server)

    def Join(  # noqa: N802
        self, request: membership_pb2.JoinRequest, context: grpc.ServicerContext
    ) -> membership_pb2.JoinResponse:
        own, others = self._membership.accept(
            request.network, from_message(request.peer), request.network_id, context.peer()
        )
        # Suspected ones are told as alive: the newcomer finds out by itself.
        alive = membership_pb2.PEER_STATE_ALIVE
        return membership_pb2.JoinResponse(
            self=to_message(own),
            peers=[membership_pb2.PeerStatus(peer=to_message(peer), state=alive) for peer in others],
            network_id=self._membership.network_id,
        )

    def Leave(  # noqa: N802
        self, request: membership_pb2.LeaveRequest, _context: grpc.ServicerContext
    ) -> membership_pb2.LeaveResponse:
        self._membership.hear_goodbye(
            Goodbye(request.id, request.epoch, request.heartbeat, request.signature)
        )
        return membership_pb2.LeaveResponse()

    def ListPeers(  # noqa: N802
        self, _request: membership_pb2.ListPeersRequest, _context: grpc.ServicerContext
    ) -> membership_pb2.ListPeersResponse:
        return membership_pb2.ListPeersResponse(
            peers=[
                membership_pb2.PeerStatus(
                    peer=to_message(status.peer),
                    state=STATES[status.state],
                    silent_ms=round(status.silent * 1000),
                )
                for status in self._membership.statuses()
            ]
        )

    def GetRoom(  # noqa: N802
        self, _request: membership_pb2.GetRoomRequest, _context: grpc.ServicerContext
    ) -> membership_pb2.GetRoomResponse:
        return membership_pb2.GetRoomResponse(free_bytes=max(0, self._room()))

    def Probe(  # noqa: N802
        self, request: membership_pb2.ProbeRequest, _context: grpc.ServicerContext
    ) -> membership_pb2.ProbeResponse:
        problem = self._membership.probe(request.network, request.id)
        return membership_pb2.ProbeResponse(answers=problem is None, problem=problem or "")
