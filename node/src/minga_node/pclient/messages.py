"""Digests and deltas as they travel in gRPC messages."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from operator import sub

from minga_node.errors import PeerMisbehaved
from minga_node.index import Delta, Entries
from minga_node.index.log import MOST_ENTRIES
from minga_node.membership import Digest
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
        unproven=digest.unproven,
        goodbye=digest.goodbye,
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
        message.unproven,
        message.goodbye,
    )


_NO_CONTENT = bytes(32)
_REMOVED, _PARTIAL = 1, 2  # flags of an entry
_FLAGS = ((_PARTIAL, 0), (_REMOVED, _REMOVED))
"""By whether an entry is a tombstone, and whether it is of a complete file."""


def delta_to_message(delta: Delta) -> index_pb2.Delta:
    message = index_pb2.Delta(
        id=delta.peer_id,
        epoch=delta.epoch,
        from_version=delta.from_version,
        to_version=delta.to_version,
        reset=delta.reset,
        compacted=delta.compacted,
        signature=delta.signature,
    )
    if delta.entries:
        versions, names, contents, sizes, media_types, modified, complete = Entries.of(delta.entries).columns
        places = {media_type: place for place, media_type in enumerate(dict.fromkeys(media_types))}
        message.steps.extend(map(sub, versions, (delta.from_version, *versions)))
        message.names.extend(names)
        message.flags = bytes(
            _FLAGS[content is None][bool(whole)] for content, whole in zip(contents, complete, strict=True)
        )
        message.content_ids = b"".join(content or _NO_CONTENT for content in contents)
        message.sizes.extend(sizes)
        message.modified_ms.extend(modified)
        message.media_types.extend(places)
        message.media.extend(map(places.__getitem__, media_types))
    return message


def delta_from_message(message: index_pb2.Delta) -> Delta:
    """Raises PeerMisbehaved for more entries than anybody sends, before it looks at them, and for columns
    that do not fit together."""
    count = len(message.steps)
    if count > MOST_ENTRIES:
        raise PeerMisbehaved(f"{count} entries at once, at most {MOST_ENTRIES}")
    ids, flags, media_types = message.content_ids, message.flags, tuple(message.media_types)
    lengths = (
        len(message.names),
        len(flags),
        len(message.sizes),
        len(message.modified_ms),
        len(message.media),
    )
    if set(lengths) - {count} or len(ids) != 32 * count or max(message.media, default=-1) >= len(media_types):
        raise PeerMisbehaved("the columns of a delta do not fit together")
    contents: Sequence[bytes | None] = [ids[start : start + 32] for start in range(0, len(ids), 32)]
    if any(flags):
        contents = [
            None if flag & _REMOVED else content for content, flag in zip(contents, flags, strict=True)
        ]
    columns = (
        tuple(accumulate(message.steps, initial=message.from_version))[1:],
        tuple(message.names),
        contents,
        tuple(message.sizes),
        tuple(map(media_types.__getitem__, message.media)),
        tuple(message.modified_ms),
        [flag & _PARTIAL == 0 for flag in flags],
    )
    return Delta(
        message.id,
        message.epoch,
        message.from_version,
        message.to_version,
        message.reset,
        message.compacted,
        Entries(columns),
        message.signature,
    )
