"""Asks other nodes for manifests, and follows what they have of a content."""

from __future__ import annotations

from minga_node.downloads.model import Availability, AvailabilityFollowing, End, Hear
from minga_node.errors import PeerMisbehaved
from minga_node.manifest import Manifest
from minga_node.model import Peer
from minga_node.pclient.channels import Channels, grpc_errors
from minga_node.pclient.streams import CallStreams
from minga_node.wire import piece_set as sets
from minga_protos.v1 import content_pb2, content_pb2_grpc

MANIFEST_SECONDS = 10.0
KEEPS_SECONDS = 5.0
LARGEST_MANIFEST_BYTES = 64 * 1024 * 1024


class ContentClient:
    """The calling end of ``minga.v1.Content``."""

    def __init__(self, channels: Channels, self_id: str) -> None:
        self._channels, self._self_id = channels, self_id
        self._streams = CallStreams(channels.credentials)

    def manifest(self, peer: Peer, content_id: str) -> Manifest:
        """The manifest of an id, verified.

        Raises:
            PeerUnreachable, NotFound, PeerMisbehaved: no answer, or not this one.
            VerificationFailed: the answer is not the manifest of the id.
        """
        target = peer.grpc_target
        request = content_pb2.GetManifestRequest(content_id=bytes.fromhex(content_id))
        encoded = bytearray()
        with grpc_errors(target):
            stub = content_pb2_grpc.ContentStub(self._channels.channel(target))
            for message in stub.GetManifest(request, timeout=MANIFEST_SECONDS):
                encoded += message.part
                if len(encoded) > LARGEST_MANIFEST_BYTES:
                    raise PeerMisbehaved(f"{peer.id} sends a manifest without end")
        return Manifest.decode(bytes(encoded), content_id)

    def keeps(self, peer: Peer, content_id: str) -> bool:
        """Whether a node has all of a content and is not dropping it.

        Raises:
            PeerUnreachable, PeerMisbehaved
        """
        request = content_pb2.KeepsRequest(content_id=bytes.fromhex(content_id))
        with grpc_errors(peer.grpc_target):
            stub = content_pb2_grpc.ContentStub(self._channels.channel(peer.grpc_target))
            return stub.Keeps(request, timeout=KEEPS_SECONDS).keeps

    def follow(self, peer: Peer, content_id: str, count: int, hear: Hear, end: End) -> AvailabilityFollowing:
        """News of a peer about a content of ``count`` pieces, told to ``hear``; ``end`` is called at the
        end.
        """
        request = content_pb2.FollowRequest(content_id=bytes.fromhex(content_id), follower=self._self_id)
        return self._streams.start(
            peer.grpc_target, request, lambda message: hear(_news(message, count)), end
        )

    def close(self) -> None:
        self._streams.close()


def _news(message: content_pb2.FollowResponse, count: int) -> Availability:
    others = tuple(message.others)
    if message.complete:
        return Availability(sets.all_pieces(count), True, others, everything=True)
    if message.HasField("bitmap"):
        return Availability(sets.from_bytes(message.bitmap, count), False, others, everything=True)
    return Availability(sets.of(piece for piece in message.have if piece < count), False, others)
