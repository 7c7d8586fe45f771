"""Open files as responses: conditional requests and one range (RFC 9110, 13 and 14), sent by ``sendfile``."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import IO
from urllib.parse import quote

from flask import Response, request
from werkzeug.http import http_date, is_resource_modified

from minga_node.errors import PreconditionFailed
from minga_node.metrics import BYTES
from minga_node.server import ranges
from minga_node.server.http import AnswerStream, FileWrapper
from minga_node.streams import Pause

BLOCK_BYTES = 256 * 1024
SENT = BYTES.labels("out", "client")
MEDIA_TYPE = re.compile(r"[\w!#$&^.+-]{1,127}/[\w!#$&^.+-]{1,127}", re.ASCII)
"""RFC 6838, 4.2."""
UNKNOWN_TYPE = "application/octet-stream"
SANDBOX = "sandbox; default-src 'none'; media-src 'self'; img-src 'self'; style-src 'unsafe-inline'"


def wanted_range(size: int, etag: str, modified_ms: int) -> tuple[int, int] | None:
    """The one range that the request asks for, as [start, end) in bytes; ``None`` for all of it.

    Raises:
        RangeNotSatisfiable
    """
    # Of other methods a range says nothing (RFC 9110, 14.2).
    if request.method != "GET" or "Range" not in request.headers:
        return None
    if not ranges.still_holds(request.headers.get("If-Range"), etag, modified_ms):
        return None
    return ranges.wanted(request.headers["Range"], size)


def _seconds(modified_ms: int) -> datetime:
    return datetime.fromtimestamp(modified_ms // 1000, UTC)


def check_match(etag: str) -> None:
    """Raises PreconditionFailed where the request wants only another content (RFC 9110, 13.1.1)."""
    if "HTTP_IF_MATCH" in request.environ and request.if_match and not request.if_match.contains(etag):
        raise PreconditionFailed("the file here is another one")


def not_modified(etag: str, modified_ms: int) -> bool:
    """Whether the client's copy is the same."""
    environ = request.environ
    if "HTTP_IF_NONE_MATCH" not in environ and "HTTP_IF_MODIFIED_SINCE" not in environ:
        return False
    return not is_resource_modified(
        environ, etag=f'"{etag}"', last_modified=_seconds(modified_ms), ignore_if_range=True
    )


EXECUTABLE = "Minga-Executable"
"""Header that says ``1`` where the owner of a file may run it."""


@lru_cache(1024)
def headers(
    name: str, media_type: str, etag: str, modified_ms: int, executable: bool = False
) -> Mapping[str, str]:
    """What goes with a content whatever part of it is sent. Nothing in it may act in our page's name."""
    leaf = name.rsplit("/", 1)[-1]
    return {
        # Another node said what it is: no more than a type can come out of it.
        "Content-Type": media_type if MEDIA_TYPE.fullmatch(media_type) else UNKNOWN_TYPE,
        "ETag": f'"{etag}"',
        "Last-Modified": http_date(_seconds(modified_ms)),
        "Accept-Ranges": "bytes",
        "Content-Disposition": f"inline; filename*=UTF-8''{quote(leaf)}",
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": SANDBOX,
        **({EXECUTABLE: "1"} if executable else {}),
    }


def empty(status: int, fields: Mapping[str, str]) -> Response:
    """An answer without a body, as to HEAD or to a conditional request."""
    return Response(status=status, headers=list(fields.items()))


def from_file(
    stream: IO[bytes], size: int, bounds: tuple[int, int] | None, fields: Mapping[str, str]
) -> Response:
    """Part or all of an open file; the server closes it afterwards. Where the file changes meanwhile, the
    answer is broken off before its last byte: it would mix two versions under the name of one.
    """
    start, end = bounds or (0, size)
    stream.seek(start)
    SENT.inc(end - start)
    return _respond(
        FileWrapper(stream, BLOCK_BYTES, _unchanged(stream)), start, end, size, bounds is not None, fields
    )


def _unchanged(stream: IO[bytes]) -> Callable[[], bool]:
    def identity() -> tuple[int, int]:
        status = os.fstat(stream.fileno())
        return status.st_size, status.st_mtime_ns

    before = identity()
    return lambda: identity() == before


def from_chunks(
    chunks: Iterator[bytes | Pause], size: int, bounds: tuple[int, int] | None, fields: Mapping[str, str]
) -> Response:
    """Content that is being fetched right now, in order."""
    start, end = bounds or (0, size)
    return _respond(AnswerStream(_counted(chunks)), start, end, size, bounds is not None, fields)


def _counted(chunks: Iterator[bytes | Pause]) -> Iterator[bytes | Pause]:
    for chunk in chunks:
        if not isinstance(chunk, Pause):
            SENT.inc(len(chunk))
        yield chunk


def _respond(
    body: Iterable[bytes], start: int, end: int, size: int, partial: bool, fields: Mapping[str, str]
) -> Response:
    more = [*fields.items(), ("Content-Length", str(end - start))]
    if partial:
        more.append(("Content-Range", f"bytes {start}-{end - 1}/{size}"))
    return Response(body, 206 if partial else 200, more, direct_passthrough=True)
