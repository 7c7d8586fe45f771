"""The little of HTTP/1.1 that pieces need (RFC 9110, RFC 9112). Pure: bytes in, values out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from minga_node.errors import BadRequest, PeerMisbehaved, RangeNotSatisfiable
from minga_node.model import NODE_NAME
from minga_node.wire import piece_set as sets
from minga_node.wire.piece_set import Pieces

LARGEST_HEAD_BYTES = 64 * 1024
MOST_RANGES = 64
MOST_NAMES = 64
PEER = "minga-peer"
HAVE = "minga-have"
FOLLOW = "minga-follow"
OTHERS = "minga-others"
RATE = "minga-rate"

_RANGE = re.compile(r"(\d{0,19})-(\d{0,19})")
_CONTENT_RANGE = re.compile(r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19})")
_KNOWN = frozenset({
    *("Accept-Ranges", "Content-Length", "Content-Range", "Content-Type", "ETag", "Host"),
    *("Minga-Follow", "Minga-Have", "Minga-Others", "Minga-Peer", "Minga-Rate", "Range"),
})
"""Names that need no look at their letters: nearly all that nodes send each other."""
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


class Head(NamedTuple):
    """First line, split at blanks, and the fields of a message, names in lower case."""

    start: tuple[str, str, str]
    fields: dict[str, str]


def parse_head(data: bytes) -> Head:
    """A request's or response's head, without the empty line at its end.

    Raises:
        BadRequest: not HTTP/1.x.
    """
    lines = data.decode("latin-1").split("\r\n")
    start = lines[0].split(" ", 2)
    if len(start) < 3:
        raise BadRequest("not an HTTP/1.1 message")
    fields: dict[str, str] = {}
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if not colon or (name not in _KNOWN and not _TOKEN.fullmatch(name)):
            raise BadRequest("a header field is broken")
        key = name.lower()
        fields[key] = f"{fields[key]}, {value.strip()}" if key in fields else value.strip()
    return Head((start[0], start[1], start[2]), fields)


def parse_ranges(value: str, size: int) -> list[tuple[int, int]]:
    """Satisfiable ranges as (first byte, one after the last), in the order given.

    Raises:
        BadRequest: not a range set in bytes, or more than 64 ranges.
        RangeNotSatisfiable: none of them overlaps the content.
    """
    unit, _, ranges = value.partition("=")
    if unit.strip().lower() != "bytes":
        raise BadRequest("only ranges of bytes are known")
    specs = ranges.split(",")
    if len(specs) > MOST_RANGES:
        raise BadRequest(f"at most {MOST_RANGES} ranges a request")
    found = []
    for spec in specs:
        match = _RANGE.fullmatch(spec.strip())
        if not match or match.group(0) == "-":
            raise BadRequest(f"not a range: {spec.strip()[:40]!r}")
        first, last = match.groups()
        if not first:
            start, end = max(0, size - int(last)), size
        else:
            start, end = int(first), min(int(last) + 1, size) if last else size
            if last and int(last) < start:
                raise BadRequest(f"not a range: {spec.strip()[:40]!r}")
        if start < end:
            found.append((start, end))
    if not found:
        raise RangeNotSatisfiable(f"the content has {size} bytes", size)
    return found


def parse_content_range(value: str) -> tuple[int, int, int]:
    """First byte, one after the last, size of the whole.

    Raises:
        PeerMisbehaved: not a content range.
    """
    match = _CONTENT_RANGE.fullmatch(value.strip())
    if not match:
        raise PeerMisbehaved(f"not a content range: {value[:40]!r}")
    first, last, size = (int(group) for group in match.groups())
    if not first <= last < size:
        raise PeerMisbehaved(f"not a content range: {value[:40]!r}")
    return first, last + 1, size


def format_pieces(pieces: Pieces) -> str:
    """A set of pieces as ``0-3,7``."""
    runs = []
    while pieces:
        start = sets.first(pieces)
        length = sets.first(~(pieces >> start))
        runs.append(f"{start}-{start + length - 1}" if length > 1 else str(start))
        pieces &= ~(sets.all_pieces(length) << start)
    return ",".join(runs)


def parse_pieces(value: str, count: int) -> Pieces:
    """The inverse; what is out of range or makes no sense is left out, since it is only a hint."""
    pieces = 0
    for part in value.split(","):
        # Most are one piece, and nodes parse two such lists for each piece that they receive.
        if part.isdecimal() and part.isascii() and len(part) < 10:
            piece = int(part)
            if piece < count:
                pieces |= 1 << piece
            continue
        first, _, last = part.strip().partition("-")
        if not (first.isascii() and first.isdigit() and len(first) < 10):
            continue
        if last and not (last.isascii() and last.isdigit() and len(last) < 10):
            continue
        start, end = int(first), min(int(last or first) + 1, count)
        if start < end:
            pieces |= sets.all_pieces(end - start) << start
    return pieces


def format_request(
    host: str,
    content_id: str,
    ranges: Sequence[tuple[int, int]],
    peer: str,
    have: Pieces,
    traceparent: str = "",
    *,
    method: str = "GET",
    follow: bool = False,
    rate: int = 0,
) -> bytes:
    """A request for one of some ranges, given as (first byte, one after the last); none means all of it.

    ``follow`` asks for news of the content on this connection from now on. ``rate`` says how many bytes of it
    come a second, from everybody together.
    """
    lines = [f"{method} /pieces/{content_id} HTTP/1.1", f"Host: {host}"]
    if ranges:
        lines.append("Range: bytes=" + ",".join(f"{start}-{end - 1}" for start, end in ranges))
    if peer:
        lines.append(f"Minga-Peer: {peer}")
    if have:
        lines.append(f"Minga-Have: {format_pieces(have)}")
    if follow:
        lines.append("Minga-Follow: 1")
    if rate:
        lines.append(f"Minga-Rate: {rate}")
    if traceparent:
        lines.append(f"Traceparent: {traceparent}")
    return "\r\n".join([*lines, "\r\n"]).encode("latin-1")


def format_names(names: Iterable[str]) -> str:
    """Names of nodes, which have no commas."""
    return ", ".join(names)


def parse_names(value: str) -> tuple[str, ...]:
    """The inverse; what is no node's name, or more than anybody has to say, is left out."""
    return tuple(name for part in value.split(",")[:MOST_NAMES] if NODE_NAME.fullmatch(name := part.strip()))


def format_response(status: str, fields: Iterable[tuple[str, str]]) -> bytes:
    lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in fields), "\r\n"]
    return "\r\n".join(lines).encode("latin-1")
