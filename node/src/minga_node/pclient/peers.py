"""A peer as it travels in gRPC messages."""

from __future__ import annotations

from minga_node.model import Peer
from minga_protos.v1 import peer_pb2


def to_message(peer: Peer) -> peer_pb2.Peer:
    return peer_pb2.Peer(
        id=peer.id,
        epoch=peer.epoch,
        host=peer.host,
        rest_port=peer.rest_port,
        grpc_port=peer.grpc_port,
        data_port=peer.data_port,
        seed=peer.seed,
        version=peer.version,
        started=peer.started,
        key=peer.key,
        signature=peer.signature,
        born=peer.born,
    )


def from_message(message: peer_pb2.Peer) -> Peer:
    return Peer(
        id=message.id,
        epoch=message.epoch,
        host=message.host,
        rest_port=message.rest_port,
        grpc_port=message.grpc_port,
        data_port=message.data_port,
        seed=message.seed,
        version=message.version,
        started=message.started,
        key=message.key,
        signature=message.signature,
        born=message.born,
    )
