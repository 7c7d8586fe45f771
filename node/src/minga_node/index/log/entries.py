"""The entries of a log, one by one and in columns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from operator import eq, lt
from typing import Any, NamedTuple, overload

from minga_node.index.fold import fold_all
from minga_node.index.log.signing import set_hash
from minga_node.names import all_shareable, is_shareable

LARGEST_INTEGER = 2**63 - 1
"""The largest whole number that SQLite keeps."""
_MEDIA_TYPE_CHARACTERS = 255


class Entry(NamedTuple):
    """The newest word of a log about one name."""

    version: int
    name: str
    content: bytes | None
    """32 bytes, the id; None for a tombstone: the name is gone."""
    size: int = 0
    media_type: str = ""
    modified_ms: int = 0
    complete: bool = True

    @property
    def removed(self) -> bool:
        return self.content is None


class Entries(Sequence[Entry]):
    """Many entries, by columns: a catch-up has a million, and as many objects would cost a fifth of its time
    in Python's cyclic garbage collector alone. What is derived from them is computed once, by whoever needs
    it first. Not to be changed.
    """

    def __init__(self, columns: Sequence[Sequence[Any]]) -> None:
        """``columns`` are those of :class:`Entry`, all of one length."""
        self._columns = columns

    @classmethod
    def of(cls, rows: Iterable[Sequence[Any]]) -> Entries:
        if isinstance(rows, Entries):
            return rows
        return cls(tuple(zip(*rows, strict=True)) or ((),) * len(Entry._fields))

    @property
    def columns(self) -> Sequence[Sequence[Any]]:
        return self._columns

    @property
    def versions(self) -> Sequence[int]:
        return self._columns[0]

    @property
    def names(self) -> Sequence[str]:
        return self._columns[1]

    def rows(self) -> Iterator[tuple[Any, ...]]:
        """Plain tuples, in the order of the columns."""
        return zip(*self._columns, strict=True)

    def take(self, places: Iterable[int]) -> Entries:
        """Some of them, by their places."""
        places = tuple(places)
        return Entries([tuple(map(column.__getitem__, places)) for column in self._columns])

    def after(self, version: int) -> Entries:
        """Those with a higher version."""
        if not self or self.versions[0] > version:
            return self
        return self.take(place for place, each in enumerate(self.versions) if each > version)

    @cached_property
    def total(self) -> int:
        """The hash of their set, see :mod:`.signing`."""
        return set_hash(self.rows())

    @cached_property
    def folded(self) -> Sequence[str]:
        """Their names, folded."""
        return fold_all(self.names)

    @cached_property
    def problem(self) -> str:
        """Why no honest node makes these; empty when one may."""
        versions, names, contents, sizes, media_types, modified, _ = self._columns
        if not names:
            return ""
        if not all(map(lt, versions, versions[1:])):
            return "versions out of order"
        if not all_shareable(names):
            bad = next(name for name in names if not is_shareable(name))
            return f"the name {bad[:64]!r}"
        if (
            not {0 if content is None else len(content) for content in contents} <= {0, 32}
            or b"" in contents
            or min(sizes) < 0
            or max(sizes) > LARGEST_INTEGER
            or min(modified) < -LARGEST_INTEGER
            or max(modified) > LARGEST_INTEGER
            or max(map(len, set(media_types))) > _MEDIA_TYPE_CHARACTERS
        ):
            return "an entry that is none"
        return ""

    def prepare(self) -> None:
        """Computes all that taking them into a log needs, where there is time for it."""
        if not self.problem:
            _ = self.total, self.folded

    def __len__(self) -> int:
        return len(self._columns[0])

    @overload
    def __getitem__(self, place: int) -> Entry: ...
    @overload
    def __getitem__(self, place: slice) -> Entries: ...
    def __getitem__(self, place: int | slice) -> Entry | Entries:
        if isinstance(place, slice):
            return Entries([column[place] for column in self._columns])
        return Entry._make(column[place] for column in self._columns)

    def __iter__(self) -> Iterator[Entry]:
        return map(Entry, *self._columns)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence):
            return NotImplemented
        return len(self) == len(other) and all(map(eq, self, other))

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Entries.of({list(self)!r})"
