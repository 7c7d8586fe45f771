"""What the parts of a node hand to each other."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

NODE_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,126}[A-Za-z0-9])?")
"""The form of a node's and of a network's name: it stands in headers, in names of queues and in paths."""
HOST = re.compile(r"[A-Za-z0-9:._%-]{1,255}")
"""A name, or an address (of IPv6 perhaps with its zone), of a node."""


@dataclass(frozen=True, slots=True)
class Peer:
    """A node and the addresses of its channels."""

    id: str
    """Unique in the network: the node's name."""
    epoch: int
    """When its state was created, microseconds since 1970."""
    host: str
    rest_port: int
    grpc_port: int
    data_port: int
    """Piece listener (HTTP ranges)."""
    seed: bool = False
    version: str = ""
    started: int = 0
    """When its process began, milliseconds since 1970; of two words about its addresses the later counts."""
    key: bytes = b""
    """The node's Ed25519 public key; empty from an earlier release."""
    signature: bytes = b""
    """The node's own, of all of the above."""
    born: int = field(default=0, compare=False)
    """When its process began, milliseconds since 1970; 0 from an earlier release, and unsigned."""

    @property
    def rest_url(self) -> str:
        return f"http://{bracketed(self.host)}:{self.rest_port}"

    @property
    def grpc_target(self) -> str:
        return f"{bracketed(self.host)}:{self.grpc_port}"


def bracketed(host: str) -> str:
    """A host as it stands in a URL: IPv6 addresses in brackets (RFC 3986, 3.2.2)."""
    return f"[{host}]" if ":" in host else host


class PeerState(StrEnum):
    ALIVE = "alive"
    SUSPECT = "suspect"
    DEAD = "dead"
    LEFT = "left"


@dataclass(frozen=True, slots=True)
class PeerStatus:
    """What this node thinks of another."""

    peer: Peer
    state: PeerState
    silent: float
    """Seconds since its heartbeat last advanced here."""
    version: int = 0
    """The newest version of its log that anybody spoke of."""
    answers: str = "yes"
    """Whether it answers calls; see :class:`minga_node.membership.answering.Answers`."""


class Attributes(NamedTuple):
    """What a file is besides its name and content, where it comes from."""

    modified: float | None = None
    """When it was modified, seconds since 1970; ``None``: that is not known."""
    executable: bool = False
    """Whether its owner may run it; of all modes, this one alone travels."""


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A name in this node's library and the content behind it."""

    name: str
    id: str
    """64 hex digits: BLAKE3 of the manifest."""
    size: int
    """Bytes."""
    media_type: str
    modified_ms: int
    """Milliseconds since 1970."""
    complete: bool = True
    """False while only some pieces are here."""
    executable: bool = False
    """Whether its owner may run it."""


@dataclass(frozen=True, slots=True)
class Holder:
    """A node that has a content, all or some of it."""

    peer_id: str
    complete: bool
    online: bool


@dataclass(frozen=True, slots=True)
class FileRow:
    """One content under one name, with everybody who has it so."""

    name: str
    id: str
    size: int
    media_type: str
    modified_ms: int
    holders: tuple[Holder, ...]
    executable: bool = False
    """Whether who shared it could run it."""

    @property
    def available(self) -> bool:
        """Whether a complete holder is online."""
        return any(holder.online and holder.complete for holder in self.holders)


@dataclass(frozen=True, slots=True)
class Flow:
    """What one download has received from one peer."""

    download: str
    """Id at the receiver."""
    sender: str
    receiver: str
    bytes: int


@dataclass(frozen=True, slots=True)
class Page:
    """Some rows of an answer, and where the next ones begin."""

    rows: tuple[FileRow, ...]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class Letter:
    """A message that could not be used."""

    queue: str
    """Where it was found unusable."""
    reason: str
    """RabbitMQ's word: rejected, delivery_limit, expired, maxlen."""
    since: int
    """Milliseconds since 1970; 0 when the broker does not say."""
    body: str
    """As text, the beginning of it."""
