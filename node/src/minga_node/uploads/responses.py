"""What the piece listener answers (RFC 9110). Pure: a request and what is here in, a head and a range out."""

from __future__ import annotations

from typing import NamedTuple

from minga_node.uploads.choice import least_sent, still_wanted
from minga_node.uploads.connection import QueuedUpload, pieces_of, servable
from minga_node.wire import http
from minga_node.wire.piece_set import Pieces


class PieceResponse(NamedTuple):
    """A head, words that go with it, and the bytes [start, end) of the content that follow."""

    status: str
    fields: tuple[tuple[str, str], ...] = ()
    text: bytes = b""
    start: int = 0
    end: int = 0

    def head(self, more: list[tuple[str, str]]) -> bytes:
        return http.format_response(self.status, [*self.fields, *more]) + self.text


def refusal(status: str, text: str = "", *, retry_after: int | None = None, allow: str = "") -> PieceResponse:
    """Says no, in a line of words; ``retry_after`` is in seconds."""
    body = (text or status).encode() + b"\n"
    fields = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))]
    if retry_after is not None:
        fields.append(("Retry-After", str(retry_after)))
    if allow:
        fields.append(("Allow", allow))
    return PieceResponse(status, tuple(fields), body)


def unsatisfiable(size: int) -> PieceResponse:
    return PieceResponse(
        "416 Range Not Satisfiable", (("Content-Range", f"bytes */{size}"), ("Content-Length", "0"))
    )


def answer(request: QueuedUpload, has: Pieces) -> PieceResponse:
    """To a request that has its slot: the range that this holder chooses among those asked for.

    Args:
        request: it names what is served and how often each piece was sent.
        has: what the node that asks is known to have got meanwhile; such pieces are left out.
    """
    served, size = request.served, request.served.content.size
    available = served.content.available
    whole = available is None or available.bit_count() == len(served.sent)
    ranges = servable(request.ranges or [(0, size)], None if whole else available, served.piece_size)
    if not ranges and size:
        return unsatisfiable(size)
    if not request.ranges and not whole:
        return refusal("404 Not Found", "only a part of this content is here: name a range")
    start, end = 0, size
    if request.ranges:
        pieces = [pieces_of(start, end, served.piece_size) for start, end in ranges]
        wanted = still_wanted(pieces, has)
        if not wanted:
            return PieceResponse("204 No Content")
        start, end = ranges[pieces.index(least_sent(wanted, served.sent))]
    fields = [
        ("Content-Type", "application/octet-stream"),
        ("Content-Length", str(end - start)),
        ("ETag", f'"{served.id}"'),
        ("Accept-Ranges", "bytes"),
    ]
    if request.ranges:
        fields.append(("Content-Range", f"bytes {start}-{end - 1}/{size}"))
    if request.head_only:
        start = end
    return PieceResponse(
        "206 Partial Content" if request.ranges else "200 OK", tuple(fields), b"", start, end
    )
