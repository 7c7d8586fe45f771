"""gRPC service ``minga.v1.Transfers``: what this node is receiving, and from whom."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import grpc

from minga_node.model import Flow
from minga_protos.v1 import transfers_pb2, transfers_pb2_grpc

NAME = "minga.v1.Transfers"


class TransfersService(transfers_pb2_grpc.TransfersServicer):
    """Answers from ``flows``, which tells what this node receives."""

    def __init__(self, flows: Callable[[], Sequence[Flow]]) -> None:
        self._flows = flows

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
