"""The filters and sorts of a search, out of a request's query string."""

from __future__ import annotations

from typing import TypedDict

from flask import request

from minga_node.errors import BadRequest
from minga_node.index import SORTS
from minga_node.server.documented import Parameter
from minga_node.server.names import number

LARGEST_NUMBER = 10**18 - 1
"""The largest number that a filter takes: 18 digits."""
_NUMBER = {"type": "integer", "minimum": 0}
_FLAG = {"type": "boolean"}
_SORTS = [*SORTS, *(f"-{sort}" for sort in SORTS if sort != "relevance")]

FILTERS = (
    Parameter("sort", "Order; `-` in front turns it round", {"type": "string", "enum": _SORTS}),
    Parameter("prefix", "`q` is how names begin", _FLAG),
    Parameter("min_size", "Bytes at least", _NUMBER),
    Parameter("max_size", "Bytes at most", _NUMBER),
    Parameter("media_type", "Such as `image/png` or `image/*`"),
    Parameter("holder", "Id of a peer that has it"),
    Parameter("min_holders", "Complete copies at least, online or not", _NUMBER),
    Parameter("available", "Only with a complete holder online", _FLAG),
)


class Filters(TypedDict):
    sort: str
    prefix: bool
    min_size: int | None
    max_size: int | None
    media_type: str | None
    holder: str | None
    min_holders: int
    available: bool


def filters() -> Filters:
    """The filters of a request. Raises BadRequest."""
    return Filters(
        sort=request.args.get("sort", ""),
        prefix=_flag("prefix"),
        min_size=number("min_size", 0, 0, LARGEST_NUMBER) if request.args.get("min_size") else None,
        max_size=number("max_size", 0, 0, LARGEST_NUMBER) if request.args.get("max_size") else None,
        media_type=request.args.get("media_type") or None,
        holder=request.args.get("holder") or None,
        min_holders=number("min_holders", 0, 0, 10**6),
        available=_flag("available"),
    )


def _flag(key: str) -> bool:
    text = request.args.get(key, "false")
    if text not in {"true", "false", "1", "0", ""}:
        raise BadRequest(f"{key} is {text!r}: expected true or false")
    return text in {"true", "1"}
