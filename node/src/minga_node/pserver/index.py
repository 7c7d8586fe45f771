"""gRPC service ``minga.v1.Index``: rounds of gossip, news, remote search."""

from __future__ import annotations

from collections.abc import Iterator

import grpc

from minga_node.errors import PeerMisbehaved
from minga_node.index import Index, Query
from minga_node.membership import Fetch, Membership, Push, Reconcile
from minga_node.metrics import GOSSIP_BYTES
from minga_node.pclient.messages import (
    delta_from_message,
    delta_to_message,
    digest_from_message,
    digest_to_message,
)
from minga_node.pclient.peers import from_message, to_message
from minga_protos.v1 import index_pb2, index_pb2_grpc

NAME = "minga.v1.Index"
MOST_ROWS = 1000


class IndexService(index_pb2_grpc.IndexServicer):
    def __init__(self, membership: Membership, index: Index) -> None:
        self._membership, self._index = membership, index

    def register(self, server: grpc.Server) -> None:
        index_pb2_grpc.add_IndexServicer_to_server(self, server)

    def Reconcile(  # noqa: N802
        self, request: index_pb2.ReconcileRequest, context: grpc.ServicerContext
    ) -> index_pb2.ReconcileResponse:
        GOSSIP_BYTES.labels("in").inc(request.ByteSize())
        answer = self._membership.answer(
            Reconcile(
                request.network,
                from_message(request.sender),
                tuple(map(digest_from_message, request.digests)),
                request.max_bytes,
                request.start,
                request.since,
                request.network_id,
                context.peer(),
            )
        )
        response = index_pb2.ReconcileResponse(
            id=answer.id,
            digests=map(digest_to_message, answer.digests),
            deltas=map(delta_to_message, answer.deltas),
            wanted=map(digest_to_message, answer.wanted),
            more=answer.more,
            peers=map(to_message, answer.peers),
            start=answer.start,
            sequence=answer.sequence,
            network_id=answer.network_id,
        )
        GOSSIP_BYTES.labels("out").inc(response.ByteSize())
        return response

    def Fetch(  # noqa: N802
        self, request: index_pb2.FetchRequest, context: grpc.ServicerContext
    ) -> Iterator[index_pb2.FetchResponse]:
        GOSSIP_BYTES.labels("in").inc(request.ByteSize())
        message = Fetch(
            request.network,
            from_message(request.sender),
            tuple(map(digest_from_message, request.digests)),
            request.network_id,
            context.peer(),
        )
        for delta in self._membership.serve(message, context.cancel):
            response = index_pb2.FetchResponse(deltas=[delta_to_message(delta)])
            GOSSIP_BYTES.labels("out").inc(response.ByteSize())
            yield response

    def Push(  # noqa: N802
        self, request: index_pb2.PushRequest, context: grpc.ServicerContext
    ) -> index_pb2.PushResponse:
        GOSSIP_BYTES.labels("in").inc(request.ByteSize())
        sender = from_message(request.sender)
        # Before it is read on, and before anybody is blamed for it: who says that it is the sender?
        self._membership.admit(request.network, sender, request.network_id)
        try:
            deltas = tuple(map(delta_from_message, request.deltas))
        except PeerMisbehaved as error:
            self._membership.blame(sender, error)
            raise
        self._membership.take_push(
            Push(
                request.network,
                sender,
                tuple(map(digest_from_message, request.digests)),
                deltas,
                tuple(map(from_message, request.peers)),
                request.network_id,
                context.peer(),
            )
        )
        return index_pb2.PushResponse()

    def Search(  # noqa: N802
        self, request: index_pb2.SearchRequest, _context: grpc.ServicerContext
    ) -> index_pb2.SearchResponse:
        page = self._index.search(
            Query(
                text=request.query,
                scope="local" if request.local else "network",
                limit=min(request.limit or 100, MOST_ROWS),
                cursor=request.cursor or None,
            )
        )
        return index_pb2.SearchResponse(
            rows=[
                index_pb2.Row(
                    name=row.name,
                    content_id=bytes.fromhex(row.id),
                    size=row.size,
                    media_type=row.media_type,
                    modified_ms=row.modified_ms,
                    holders=[
                        index_pb2.Holder(
                            peer_id=holder.peer_id, complete=holder.complete, online=holder.online
                        )
                        for holder in row.holders
                    ],
                )
                for row in page.rows
            ],
            next_cursor=page.next_cursor or "",
        )
