"""What the piece listener is asked for: heads of requests, understood as far as they can be by themselves.

Pure: bytes in, values out. Whether the content is here is for the listener to find out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from minga_node.errors import BadRequest
from minga_node.model import NODE_NAME
from minga_node.tracing import TRACEPARENT
from minga_node.wire import http

ID_DIGITS = frozenset("0123456789abcdef")
MOST_PEER_CHARACTERS = 253


class PieceRequest(NamedTuple):
    """A request for bytes of a content."""

    content_id: str
    """Empty if the path names none."""
    range: str | None
    """The field as it came."""
    head_only: bool
    peer: str
    """The node that asks, "" for others."""
    have: str
    """The pieces that it says it has since it last said so, like ``0-3,7``."""
    follows: bool
    """Whether it asks for news on this connection from now on."""
    rate: int
    """Bytes of the content that it says it receives a second; 0 if it does not say."""
    traceparent: str
    closing: bool
    """Whether the connection is to be closed after the answer."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A request that is answered without a look at any content."""

    status: str
    text: str = ""
    closing: bool = False
    allow: str = ""


def heads(read: bytearray) -> Iterator[PieceRequest | Refusal]:
    """The requests that are complete in ``read``, which is left with what follows them.

    After a refusal that closes there are no more: what follows cannot be trusted to begin where it seems to.
    """
    while (end := read.find(b"\r\n\r\n")) >= 0 and end <= http.LARGEST_HEAD_BYTES:
        head = bytes(read[:end])
        del read[: end + 4]
        found = understand(head)
        yield found
        if isinstance(found, Refusal) and found.closing:
            return
    if max(end, len(read)) > http.LARGEST_HEAD_BYTES:
        yield Refusal("431 Request Header Fields Too Large", closing=True)


def understand(data: bytes) -> PieceRequest | Refusal:
    """A request's head, without the empty line at its end."""
    try:
        head = http.parse_head(data)
    except BadRequest as error:
        return Refusal("400 Bad Request", str(error), closing=True)
    method, target, version = head.start
    fields = head.fields
    if not version.startswith("HTTP/1."):
        return Refusal("400 Bad Request", "only HTTP/1.1 is spoken here", closing=True)
    if fields.get("content-length", "0") != "0" or "transfer-encoding" in fields:
        return Refusal("413 Content Too Large", "requests have no body here", closing=True)
    closing = version == "HTTP/1.0" or "close" in fields.get("connection", "").lower()
    if method not in {"GET", "HEAD"}:
        return Refusal("405 Method Not Allowed", closing=closing, allow="GET, HEAD")
    path, _, content_id = target.partition("?")[0].rpartition("/")
    known = path == "/pieces" and len(content_id) == 64 and ID_DIGITS.issuperset(content_id)
    peer = fields.get(http.PEER, "")[:MOST_PEER_CHARACTERS]
    rate = fields.get(http.RATE, "")
    return PieceRequest(
        content_id if known else "",
        fields.get("range"),
        method == "HEAD",
        peer,
        fields.get(http.HAVE, ""),
        method == "HEAD" and http.FOLLOW in fields and bool(NODE_NAME.fullmatch(peer)),
        int(rate) if rate.isascii() and rate.isdigit() and len(rate) < 16 else 0,
        fields.get(TRACEPARENT, ""),
        closing,
    )
