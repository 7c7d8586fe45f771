"""Digests and deltas as they travel in gRPC messages."""

from __future__ import annotations

from minga_node.errors import PeerMisbehaved
from minga_node.index import Delta, Entry
from minga_node.index.log import MOST_ENTRIES
from minga_node.membership.scuttlebutt import Digest
from minga_protos.v1 import index_pb2


def digest_to_message(digest: Digest) -> index_pb2.Digest:
    return index_pb2.Digest(
        id=digest.id,
        epoch=digest.epoch,
        heartbeat=digest.heartbeat,
        version=digest.version,
        compacted=digest.compacted,
        started=digest.started,
        left=digest.left,
    )


def digest_from_message(message: index_pb2.Digest) -> Digest:
    return Digest(
        message.id,
        message.epoch,
        message.heartbeat,
        message.version,
        message.compacted,
        message.started,
        message.left,
    )


def delta_to_message(delta: Delta) -> index_pb2.Delta:
    make = index_pb2.Entry
    return index_pb2.Delta(
        id=delta.peer_id,
        epoch=delta.epoch,
        from_version=delta.from_version,
        to_version=delta.to_version,
        reset=delta.reset,
        compacted=delta.compacted,
        entries=[
            make(version=version, removed=True, name=name)
            if content is None
            else make(
                version=version,
                name=name,
                content_id=content,
                size=size,
                media_type=media_type,
                modified_ms=modified_ms,
                complete=bool(complete),
            )
            for version, name, content, size, media_type, modified_ms, complete in delta.entries
        ],
    )


def delta_from_message(message: index_pb2.Delta) -> Delta:
    """Raises PeerMisbehaved for more entries than anybody sends, before it looks at them."""
    if len(message.entries) > MOST_ENTRIES:
        raise PeerMisbehaved(f"{len(message.entries)} entries at once, at most {MOST_ENTRIES}")
    return Delta(
        message.id,
        message.epoch,
        message.from_version,
        message.to_version,
        message.reset,
        message.compacted,
        [
            Entry(entry.version, entry.name, None)
            if entry.removed
            else Entry(
                entry.version,
                entry.name,
                entry.content_id,
                entry.size,
                entry.media_type,
                entry.modified_ms,
                entry.complete,
            )
            for entry in message.entries
        ],
    )
