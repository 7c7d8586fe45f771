"""What rows a query wants: as SQL, as full-text terms, and as a Python test for the sample."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from minga_node.index.fold import fold
from minga_node.index.media import forms
from minga_node.index.search.query import Query


@dataclass(frozen=True, slots=True)
class Row:
    """What conditions look at."""

    folded: str
    name: str
    content: bytes
    size: int
    media_type: str
    modified: int
    holders: int
    logs: frozenset[int]
    file: int


@dataclass(frozen=True, slots=True)
class Conditions:
    """All must hold. ``holder`` is the log's number, -1 for one that there is not."""

    terms: tuple[str, ...]
    begins: str
    glob: str
    min_size: int | None
    max_size: int | None
    media_type: str | None
    holder: int | None
    min_holders: int
    online: frozenset[int] | None
    """Logs of which one must have a complete copy."""
    under: tuple[str, ...] = ()
    """Exact beginnings of names, of which one must fit; empty for all names."""

    def sql(self) -> tuple[list[str], list[Any]]:
        """Clauses about ``files f``."""
        clauses, values = ["instr(f.folded, ?)"] * len(self.terms), list[Any](self.terms)
        if self.begins:
            clauses.append("f.folded >= ? AND f.folded < ?")
            values += [self.begins, after_prefix(self.begins)]
        ranges = self.ranges()
        if len(ranges) == 1:
            # A walk in the order of names begins and ends here.
            clauses.append("f.folded >= ? AND f.folded < ?")
            values += [ranges[0], after_prefix(ranges[0])]
        if self.under:
            clauses.append(f"({' OR '.join(['(f.name >= ? AND f.name < ?)'] * len(self.under))})")
            values += [bound for prefix in self.under for bound in (prefix, after_prefix(prefix))]
        if self.glob:
            clauses.append("(f.folded GLOB ? OR f.folded GLOB ?)")
            values += [self.glob, _anywhere(self.glob)]
        if self.min_size is not None:
            clauses.append("f.size >= ?")
            values.append(self.min_size)
        if self.max_size is not None:
            clauses.append("f.size <= ?")
            values.append(self.max_size)
        if self.media_type is not None:
            if self.media_type.endswith("/*"):
                clauses.append("f.media_type GLOB ?")
                values.append(self.media_type)
            else:
                clauses.append("f.media_type IN (?, ?)")
                values += forms(self.media_type)
        if self.holder is not None:
            clauses.append("EXISTS (SELECT 1 FROM held h WHERE h.log = ? AND h.file = f.file)")
            values.append(self.holder)
        if self.min_holders > 0:
            clauses.append("f.holders >= ?")
            values.append(self.min_holders)
        if self.online is not None:
            marks = ",".join(str(log) for log in sorted(self.online))
            clauses.append(
                f"EXISTS (SELECT 1 FROM held h WHERE h.file = f.file AND h.complete AND h.log IN ({marks}))"
            )
        return clauses, values

    def text_test(self, row: Row) -> bool:
        return (
            all(term in row.folded for term in self.terms)
            and row.folded.startswith(self.begins)
            and (not self.under or row.name.startswith(self.under))
            and (not self.glob or bool(re.match(_regex(self.glob), row.folded)))
        )

    def test_but_text(self, row: Row) -> bool:
        """The same as :meth:`sql`, of all but the name; the online copies count as complete."""
        return (
            (self.min_size is None or row.size >= self.min_size)
            and (self.max_size is None or row.size <= self.max_size)
            and self.media_test(row)
            and (self.holder is None or self.holder in row.logs)
            and row.holders >= self.min_holders
            and (self.online is None or not self.online.isdisjoint(row.logs))
        )

    def media_test(self, row: Row) -> bool:
        return self.media_type is None or _media(self.media_type, row.media_type)

    def sizes(self) -> tuple[int, int]:
        """Least and most bytes."""
        least = self.min_size if self.min_size is not None else 0
        return least, self.max_size if self.max_size is not None else 2**63 - 1

    def ranges(self) -> tuple[str, ...]:
        """How the folded names of :attr:`under` begin; empty where that narrows nothing down."""
        folded = tuple(dict.fromkeys(map(fold, self.under)))
        return folded if all(folded) else ()

    def literals(self) -> tuple[str, ...]:
        """Strings that every name found has in it."""
        if self.glob:
            pieces = re.split(r"\[[^\]]*\]?|[*?]+", self.glob)
            return tuple(piece for piece in pieces if piece)
        return (*self.terms, self.begins) if self.begins else self.terms


def conditions(query: Query, holder: int | None, online: frozenset[int] | None) -> Conditions:
    text = query.text.strip()
    return Conditions(
        terms=query.terms(),
        begins=fold(query.text.lstrip()) if query.prefix else "",
        glob=fold(text) if query.is_glob else "",
        min_size=query.min_size,
        max_size=query.max_size,
        media_type=query.media_type,
        holder=holder,
        min_holders=query.min_holders,
        online=online,
        under=query.under,
    )


def after_prefix(prefix: str) -> str:
    """The least string that is greater than all that begin with a prefix."""
    last = ord(prefix[-1])
    # Surrogates cannot be stored.
    return prefix[:-1] + chr(0xE000 if last == 0xD7FF else min(last + 1, 0x10FFFF))


def trigrams(literal: str) -> list[str]:
    return [literal[start : start + 3] for start in range(len(literal) - 2)]


def _anywhere(glob: str) -> str:
    """A glob without a slash is about the last part of a path as well."""
    return glob if "/" in glob else f"*/{glob}"


def _media(wanted: str, found: str) -> bool:
    return found.startswith(wanted[:-1]) if wanted.endswith("/*") else found in forms(wanted)


def _regex(glob: str) -> str:
    """SQLite's GLOB as a regular expression, near enough to estimate with."""
    parts = re.split(r"(\[\^?\]?[^\]]*\]|[*?])", glob)
    made = "".join(
        {"*": ".*", "?": "."}.get(part) or (part if _is_set(part) else re.escape(part)) for part in parts
    )
    return f"(?s:(?:.*/)?{made})\\Z"


def _is_set(part: str) -> bool:
    if not (part.startswith("[") and part.endswith("]") and len(part) > 2):
        return False
    try:
        re.compile(part)
    except re.error:
        return False
    return True
