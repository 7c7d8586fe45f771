"""Names and numbers out of a request, checked before anything is touched."""

from __future__ import annotations

import re

from flask import request
from werkzeug.routing import BaseConverter

from minga_node.errors import BadRequest, InvalidName
from minga_node.names import check_name


class NameConverter(BaseConverter):
    """Takes the whole rest of the path, also what is no good name, so that we can say why."""

    regex = r"[\s\S]*"
    part_isolating = False


def name_from_path(prefix: str) -> str:
    """The file name behind ``prefix`` in the request's path.

    Taken from the path's bytes: the routed text has lost what was not valid UTF-8.

    Raises:
        InvalidName
    """
    raw = str(request.environ.get("PATH_INFO", "")).encode("latin-1")
    try:
        return check_name(raw.decode("utf-8").removeprefix(prefix))
    except UnicodeDecodeError:
        raise InvalidName("a name must be valid UTF-8") from None


def content_id(text: str) -> str:
    """A content's id out of a request.

    Raises:
        BadRequest
    """
    if not re.fullmatch("[0-9a-f]{64}", text):
        raise BadRequest(f"an id has 64 hex digits (0-9, a-f), not {text!r}")
    return text


def beginning_of_id(text: str) -> str:
    """The first digits of contents' ids out of a request.

    Raises:
        BadRequest
    """
    if not re.fullmatch("[0-9a-f]{4,64}", text):
        raise BadRequest(f"an id begins with 4 to 64 hex digits (0-9, a-f), not {text!r}")
    return text


def number(key: str, default: int, low: int, high: int) -> int:
    """A whole number out of the query string.

    Raises:
        BadRequest
    """
    text = request.args.get(key)
    if text is None or not text:
        return default
    if not re.fullmatch("[0-9]{1,18}", text) or not low <= int(text) <= high:
        raise BadRequest(f"{key} is {text!r}: expected a whole number from {low} to {high}")
    return int(text)
