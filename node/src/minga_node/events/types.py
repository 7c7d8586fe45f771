"""Every type of event and job, with what is in its ``data``. The schemas in ``docs/`` are made from this."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

PREFIX = "dev.minga."
"""The beginning of all types (reverse DNS, as CloudEvents 1.0 asks for)."""


class Kind(Enum):
    """A field's kind, and its JSON Schema."""

    TEXT = "string"
    INTEGER = "integer"
    BOOLEAN = "boolean"
    ID = "id"
    """64 hex digits."""
    SIGNATURE = "signature"
    """192 hex digits: an Ed25519 public key of 32 bytes and a signature of 64."""


@dataclass(frozen=True, slots=True)
class Field:
    name: str
    kind: Kind
    meaning: str
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Type:
    """``routing_key`` is the type without its prefix."""

    routing_key: str
    meaning: str
    fields: tuple[Field, ...]
    job: bool = False

    @property
    def name(self) -> str:
        return PREFIX + self.routing_key


_PEER = Field("peer", Kind.TEXT, "the node that tells it, or whom it is about")
_LOG = (
    Field("epoch", Kind.INTEGER, "of the node's log, microseconds since 1970"),
    Field("version", Kind.INTEGER, "of the entry in the node's log; one more than the event before"),
)
_SIGNATURE = Field(
    "signature",
    Kind.SIGNATURE,
    "the node's public key and its signature of its log as it is with this entry; of entries that it shares "
    "together the last one has it, and each 200th",
    optional=True,
)
_NAME = Field("name", Kind.TEXT, "of the file")
_ID = Field("id", Kind.ID, "of the content: BLAKE3 of its manifest")
_WANT = Field("want", Kind.TEXT, "id of the want")
_JOB = (Field("job", Kind.TEXT, "id of the job"), _ID)

_ALL = (
    Type("file.published", "a node shares a file, or another content under its name", (
        _PEER, *_LOG, _NAME, _ID,
        Field("size", Kind.INTEGER, "bytes"),
        Field("media_type", Kind.TEXT, "such as application/pdf; ;executable=1 follows if it may be run"),
        Field("modified", Kind.INTEGER, "milliseconds since 1970"),
        Field("complete", Kind.BOOLEAN, "false while the node has only some pieces"),
        _SIGNATURE,
    )),
    Type("file.removed", "a node shares a file no more", (_PEER, *_LOG, _NAME, _SIGNATURE)),
    Type("peer.joined", "a node entered the network", (
        _PEER, _LOG[0],
        Field("host", Kind.TEXT, "where it is reached"),
        Field("rest_port", Kind.INTEGER, "of REST"),
        Field("grpc_port", Kind.INTEGER, "of gRPC"),
        Field("data_port", Kind.INTEGER, "of its pieces"),
        Field("seed", Kind.BOOLEAN, "others join through it"),
        Field("software", Kind.TEXT, "its version"),
        Field("started", Kind.INTEGER, "when its process began, milliseconds since 1970"),
        Field("signature", Kind.SIGNATURE, "its public key and its signature of all this", optional=True),
    )),
    Type("peer.left", "a node said goodbye", (
        _PEER, _LOG[0], Field("heartbeat", Kind.INTEGER, "its last"),
        Field("signature", Kind.SIGNATURE, "its public key and its signature of all this", optional=True),
    )),
    Type("transfer.completed", "a node has fetched a content, verified", (
        _PEER, _NAME, _ID, Field("size", Kind.INTEGER, "bytes"),
    )),
    Type("want.placed", "a node looks for a file that nobody online has", (
        _PEER, _WANT,
        Field("name", Kind.TEXT, "the name that is looked for", optional=True),
        Field("id", Kind.ID, "the content that is looked for", optional=True),
        Field("expires", Kind.INTEGER, "milliseconds since 1970"),
    )),
    Type("want.withdrawn", "it does not any more", (_PEER, _WANT)),
    Type("want.satisfied", "a node has what another one wants", (
        _PEER, _WANT, Field("wanter", Kind.TEXT, "the node that wants it"), _NAME, _ID,
    )),
    Type("job.done", "a node has done a job", (_PEER, *_JOB)),
    Type("job.failed", "a node gave a job up; the job is in the queue of dead letters", (
        _PEER, *_JOB, Field("error", Kind.TEXT, "why"),
    )),
    Type("replication.completed", "a content has as many complete holders as were asked for", (
        _PEER, Field("replication", Kind.TEXT, "id of the request"), _ID,
        Field("copies", Kind.INTEGER, "complete holders online"),
    )),
    Type("job.hold", "asks a node to hold a verified copy of a content", (
        _PEER, *_JOB, Field("name", Kind.TEXT, "for the file in its library"),
        Field("copies", Kind.INTEGER, "complete holders online that make it needless", optional=True),
    ), job=True),
    Type("job.drop", "asks a node to drop its copies of a content", (
        _PEER, *_JOB,
        Field("keep", Kind.INTEGER, "complete copies that must stay at others, 1 at least", optional=True),
    ), job=True),
)  # fmt: skip

TYPES: dict[str, Type] = {each.name: each for each in _ALL}
