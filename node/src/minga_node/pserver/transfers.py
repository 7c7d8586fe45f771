"""gRPC service ``minga.v1.Transfers``: what this node receives, from whom, and is asked to take."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import grpc

from minga_node.model import Flow
from minga_node.pserver.content import content_id
from minga_protos.v1 import transfers_pb2, transfers_pb2_grpc

NAME = "minga.v1.Transfers"


class TransfersService(transfers_pb2_grpc.TransfersServicer):
    """The called end.

    Args:
        flows: what this node receives.
        take: begins to fetch an id under a name, and tells the download's id.
    """

    def __init__(self, flows: Callable[[], Sequence[Flow]], take: Callable[[str, str], str]) -> None:
        self._flows, self._take = flows, take

    def register(self, server: grpc.Server) -> None:
        transfers_pb2_grpc.add_TransfersServicer_to_server(self, server)

    def ListReceived(  # noqa: N802
        self, _request: transfers_pb2.ListReceivedRequest, _context: grpc.ServicerContext
    ) -> transfers_pb2.ListReceivedResponse:
        return transfers_pb2.ListReceivedResponse(
            received=[
                transfers_pb2.Received(download=flow.download, from_peer=flow.sender, bytes=flow.bytes)
                for flow in self._flows()
            ]
        )

    def TakeOver(  # noqa: N802
        self, request: transfers_pb2.TakeOverRequest, _context: grpc.ServicerContext
    ) -> transfers_pb2.TakeOverResponse:
        return transfers_pb2.TakeOverResponse(
            download=self._take(content_id(request.content_id), request.name)
        )
