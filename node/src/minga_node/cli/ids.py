"""Ids by their first digits: any beginning that only one of them has will do."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from minga_node.cli.client import Client, ClientError

WHOLE = 64
FEWEST = 4
"""Hex digits that are taken for the beginning of a content's id."""


def looks_like_id(text: str) -> bool:
    """Whether it may be an id or the beginning of one."""
    return re.fullmatch(f"[0-9a-f]{{{FEWEST},{WHOLE}}}", text.removesuffix("…")) is not None


def rows_of(client: Client, beginning: str) -> list[dict[str, Any]]:
    """Files whose content's id begins so, of all names.

    Raises:
        ClientError: several contents have ids that begin so.
    """
    beginning = beginning.removesuffix("…")
    rows: list[dict[str, Any]] = client.get("/api/v1/files", id=beginning)["files"]
    if len({row["id"] for row in rows}) > 1:
        choices = "\n".join(f"  {row['id']}  {row['name']}" for row in rows)
        raise ClientError(f"several ids begin with {beginning}\n{choices}", 4)
    return rows


def whole(client: Client, beginning: str) -> str:
    """The content's id that begins so.

    Raises:
        ClientError: there is none, or several.
    """
    beginning = beginning.removesuffix("…")
    if not looks_like_id(beginning):
        raise ClientError(
            f"an id has {WHOLE} hex digits, of which the first {FEWEST} may do: not {beginning!r}", 2
        )
    if len(beginning) == WHOLE:
        return beginning
    rows = rows_of(client, beginning)
    if not rows:
        raise ClientError(f"no content has an id that begins with {beginning}", 3)
    return str(rows[0]["id"])


def named_or_id(client: Client, what: str) -> str:
    """The id of the only content of a name, else of the one whose id begins so.

    Raises:
        ClientError: there is none, or several.
    """
    if len(what) == WHOLE and looks_like_id(what):
        return what
    rows = client.get("/api/v1/files", name=what)["files"]
    if not rows and looks_like_id(what):
        rows = rows_of(client, what)
        if rows:
            return str(rows[0]["id"])
    if len(rows) != 1:
        raise ClientError(f"{len(rows)} contents are named {what}: give an id", 4 if rows else 3)
    return str(rows[0]["id"])


def only(found: Iterable[str], beginning: str, what: str) -> str:
    """The only one of these ids that begins so.

    Raises:
        ClientError: there is none, or several.
    """
    beginning = beginning.removesuffix("…")
    matching = [each for each in found if each.startswith(beginning)]
    if len(matching) != 1:
        raise ClientError(f"{len(matching) or 'no'} {what} begin with {beginning}", 4 if matching else 3)
    return matching[0]
