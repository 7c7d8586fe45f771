"""Which part of a content a request asks for: RFC 9110, 13.1.5 (If-Range) and 14 (Range). Pure."""

from __future__ import annotations

import re

from werkzeug.http import parse_date

from minga_node.errors import RangeNotSatisfiable

DIGITS = 18
"""Longer numbers are beyond any file."""
_ONE = re.compile(r"\s*bytes\s*=[\s,]*(\d*)\s*-\s*(\d*)[\s,]*", re.ASCII | re.IGNORECASE)


def wanted(header: str | None, size: int) -> tuple[int, int] | None:
    """The one range that a ``Range`` header asks for, as [start, end) in bytes; ``None`` for all of it.

    What is malformed, of another unit, or several ranges at once is ignored, as a server may (14.2). A suffix
    that is longer than the content is all of it, as a range (14.1.2).

    Raises:
        RangeNotSatisfiable: nothing of the content is in the range.
    """
    found = _ONE.fullmatch(header or "")
    if found is None:
        return None
    first, last = (int(text[: DIGITS + 1]) if text else None for text in found.groups())
    if first is None:
        if last is None:
            return None
        if not last:
            raise RangeNotSatisfiable("a range of the last 0 bytes is none", size)
        # Of an empty content there are no last bytes that a Content-Range could name: all of it is sent.
        return (max(0, size - last), size) if size else None
    if last is not None and last < first:
        return None
    if first >= size:
        raise RangeNotSatisfiable(f"{(header or '').strip()} is outside of {size} bytes", size)
    return first, size if last is None else min(last + 1, size)


def still_holds(if_range: str | None, etag: str, modified_ms: int) -> bool:
    """Whether an ``If-Range`` header, if there is one, means the present content.

    An entity tag must be the same and strong. A date must be exactly that of ``Last-Modified``.
    """
    if if_range is None:
        return True
    text = if_range.strip()
    if text.startswith(('"', "W/")):
        return text == f'"{etag}"'
    date = parse_date(text)
    return date is not None and int(date.timestamp()) == modified_ms // 1000
