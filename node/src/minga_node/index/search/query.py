"""What somebody looks for in the index."""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from typing import Any

from minga_node.errors import BadRequest
from minga_node.index.fold import fold

SORTS = ("relevance", "name", "size", "modified", "holders")
MOST_QUERY_CHARACTERS = 512


@dataclass(frozen=True, slots=True)
class Query:
    """Words are looked for anywhere in a name, all of them; case and accents do not count."""

    text: str = ""
    """Words, a glob when there is one of ``*?[`` in it, or words in double quotes that belong together."""
    scope: str = "network"
    """``network``, or ``local``: what this node holds."""
    limit: int = 100
    cursor: str | None = None
    sort: str = ""
    """One of :data:`SORTS`, with ``-`` in front for the other way round; by default relevance for one word,
    else name."""
    prefix: bool = False
    """The text is how names begin."""
    min_size: int | None = None
    max_size: int | None = None
    media_type: str | None = None
    """``image/png``, or ``image/*``."""
    holder: str | None = None
    """A peer's id."""
    min_holders: int = 0
    """Complete copies in the network, online or not."""
    available: bool = False
    """A complete holder is online."""
    under: tuple[str, ...] = ()
    """How names begin that may be found, to the letter; empty for all names."""

    @property
    def is_glob(self) -> bool:
        return not self.prefix and any(character in self.text for character in "*?[")

    def terms(self) -> tuple[str, ...]:
        """The folded words."""
        if self.prefix or self.is_glob:
            return ()
        words: list[str] = []
        for position, part in enumerate(self.text.split('"')):
            words += [part] if position % 2 and part else part.split()
        return tuple(dict.fromkeys(fold(word) for word in words))

    def order(self) -> tuple[str, bool]:
        """The sort, and whether it is downwards.

        Raises:
            BadRequest: there is no such sort.
        """
        name, descending = self.sort.removeprefix("-"), self.sort.startswith("-")
        ranked = len(self.terms()) == 1
        if not name:
            name = "relevance" if ranked else "name"
        if name not in SORTS:
            raise BadRequest(
                f"sort is {self.sort!r}: expected one of {', '.join(SORTS)}, with - for downwards"
            )
        if name == "relevance":
            return ("relevance", False) if ranked else ("name", False)
        return name, descending


def write_cursor(order: str, key: tuple[Any, ...]) -> str:
    """Where a page ended, as an opaque word."""
    parts = [part.hex() if isinstance(part, bytes) else part for part in key]
    return base64.urlsafe_b64encode(json.dumps([order, *parts]).encode()).decode().rstrip("=")


def read_cursor(cursor: str, order: str, kinds: tuple[type, ...]) -> tuple[Any, ...]:
    """The key in a cursor.

    Raises:
        BadRequest: not a cursor, or one of another order.
    """
    try:
        found, *parts = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        if found != order or len(parts) != len(kinds):
            raise BadRequest("the cursor belongs to another search")
        key = tuple(
            bytes.fromhex(part) if kind is bytes else part for part, kind in zip(parts, kinds, strict=True)
        )
    except (ValueError, TypeError, binascii.Error):
        raise BadRequest("the cursor is not one") from None
    if not all(isinstance(part, kind) for part, kind in zip(key, kinds, strict=True)):
        raise BadRequest("the cursor is not one")
    return key
