"""Open files as responses: conditional requests and one range (RFC 9110, 13 and 14), sent by ``sendfile``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import IO
from urllib.parse import quote

from flask import Response, request
from werkzeug.http import http_date, is_resource_modified, parse_if_range_header, parse_range_header

from minga_node.errors import RangeNotSatisfiable
from minga_node.metrics import BYTES

BLOCK = 256 * 1024
SANDBOX = "sandbox; default-src 'none'; media-src 'self'; img-src 'self'; style-src 'unsafe-inline'"


def wanted_range(size: int, etag: str, modified_ms: int) -> tuple[int, int] | None:
    """The one range that the request asks for, as [start, end) in bytes; ``None`` for all of it.

    Several ranges are answered with everything, which a server may do (RFC 9110, 14.2).

    Raises:
        RangeNotSatisfiable
    """
    header = request.headers.get("Range")
    if header is None:
        return None
    condition = parse_if_range_header(request.headers.get("If-Range"))
    if condition.etag is not None and condition.etag != etag:
        return None
    if condition.date is not None and _seconds(modified_ms) > condition.date:
        return None
    parsed = parse_range_header(header)
    if parsed is None or parsed.units != "bytes" or len(parsed.ranges) != 1:
        return None
    bounds = parsed.range_for_length(size)
    if bounds is None:
        raise RangeNotSatisfiable(f"{header} is outside of {size} bytes", size)
    return bounds


def _seconds(modified_ms: int) -> datetime:
    return datetime.fromtimestamp(modified_ms // 1000, UTC)


def not_modified(etag: str, modified_ms: int) -> bool:
    """Whether the client's copy is the same."""
    return not is_resource_modified(
        request.environ, etag=f'"{etag}"', last_modified=_seconds(modified_ms), ignore_if_range=True
    )


def headers(name: str, media_type: str, etag: str, modified_ms: int) -> dict[str, str]:
    """What goes with a content whatever part of it is sent. Nothing in it may act in our page's name."""
    leaf = name.rsplit("/", 1)[-1]
    return {
        "Content-Type": media_type,
        "ETag": f'"{etag}"',
        "Last-Modified": http_date(_seconds(modified_ms)),
        "Accept-Ranges": "bytes",
        "Content-Disposition": f"inline; filename*=UTF-8''{quote(leaf)}",
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": SANDBOX,
    }


def empty(status: int, fields: dict[str, str]) -> Response:
    """An answer without a body, as to HEAD or to a conditional request."""
    response = Response(status=status)
    response.headers.update(fields)
    return response


def from_file(
    stream: IO[bytes], size: int, bounds: tuple[int, int] | None, fields: dict[str, str]
) -> Response:
    """Part or all of an open file; the server closes it afterwards."""
    start, end = bounds or (0, size)
    stream.seek(start)
    wrapper = request.environ["wsgi.file_wrapper"]
    BYTES.labels("out", "client").inc(end - start)
    return _respond(wrapper(stream, BLOCK), start, end, size, bounds is not None, fields)


def from_chunks(
    chunks: Iterator[bytes], size: int, bounds: tuple[int, int] | None, fields: dict[str, str]
) -> Response:
    """Content that is being fetched right now, in order."""
    start, end = bounds or (0, size)
    return _respond(_counted(chunks), start, end, size, bounds is not None, fields)


def _counted(chunks: Iterator[bytes]) -> Iterator[bytes]:
    counter = BYTES.labels("out", "client")
    for chunk in chunks:
        counter.inc(len(chunk))
        yield chunk


def _respond(
    body: Iterable[bytes], start: int, end: int, size: int, partial: bool, fields: dict[str, str]
) -> Response:
    response = Response(body, 206 if partial else 200, direct_passthrough=True)
    response.headers.update(fields)
    response.headers["Content-Length"] = str(end - start)
    if partial:
        response.headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
    return response
