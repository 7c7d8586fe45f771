"""How to run a search: the ways there are, what each will cost, and the cheapest. Pure.

Times are those of one row, measured with a million of them; what counts is their ratio.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from minga_node.index.conditions import Conditions, Row
from minga_node.index.ranks import LAST, relevance

WALK = 0.5e-6
"""Seconds to look at a row in the order of an index, and to find that its name will not do."""
LOOK = 1.5e-6
"""Seconds to look at the rest of such a row."""
CANDIDATE = 2.0e-6
"""Seconds to find a row by its number, test and sort it."""
TAIL = 0.4e-6
"""Seconds to look at a row that an index does not have yet."""


class Way(Enum):
    WALK = "walk"
    """In the order that is asked for, until the page is full."""
    NAMES = "names"
    """All rows that the full-text index finds, sorted."""
    HOLDER = "holder"
    """All rows of one holder, sorted."""
    SIZES = "sizes"
    """All rows of these sizes, sorted."""
    TYPE = "type"
    """All rows of this media type, sorted."""
    COPIES = "copies"
    """All rows of at least so many holders, sorted."""
    ONLINE = "online"
    """All rows of the holders that are online, sorted."""
    BEGINS = "begins"
    """All rows whose names begin so, sorted."""
    STARTS = "starts"
    """All rows of which a part begins with the word, sorted."""


@dataclass(frozen=True, slots=True)
class Estimate:
    way: Way
    seconds: float


@dataclass(frozen=True, slots=True)
class Shape:
    """What a plan has to know of the index besides the sample."""

    total: int
    """Rows."""
    unnamed: int
    """Rows that the full-text index lacks."""
    unordered: int
    """Rows that the sorted indices lack."""


@dataclass(frozen=True, slots=True)
class Walk:
    """The order that is asked for, and the part of it."""

    key: Callable[[Row], Any]
    descending: bool
    after: Any
    """Where the page begins; None for the first."""
    limit: int
    by_name: bool
    """The index of names has every row at once."""
    tier: tuple[int, str] | None = None
    """Only rows of this relevance to this word."""


def estimate(wanted: Conditions, sample: Sequence[Row], shape: Shape, walk: Walk) -> list[Estimate]:
    """The ways that can answer, the cheapest first; ``sample`` is in the order of the walk."""
    if not sample:
        return [Estimate(Way.WALK, shape.total * WALK)]
    weight = shape.total / len(sample)
    tier = walk.tier

    def test(row: Row) -> bool:
        return wanted.test(row) and (tier is None or relevance(row.folded, tier[1]) == tier[0])

    behind = 0.0 if walk.by_name else shape.unordered * TAIL
    rows = _rows_walked(test, wanted.text_test, sample, walk, weight)
    found = [Estimate(Way.WALK, rows * weight + behind)]
    for way, of_it in _candidates(wanted, tier):
        # Nothing in the sample is less than one of it, not nothing.
        seconds = max(sum(map(of_it, sample)), 0.5) * weight * CANDIDATE
        if way in {Way.NAMES, Way.STARTS}:
            seconds += shape.unnamed * TAIL
        elif way in {Way.SIZES, Way.TYPE, Way.COPIES}:
            seconds += shape.unordered * TAIL
        found.append(Estimate(way, seconds))
    return sorted(found, key=lambda each: each.seconds)


def _candidates(wanted: Conditions, tier: tuple[int, str] | None) -> list[tuple[Way, Callable[[Row], bool]]]:
    """The ways that begin with some rows, and which rows those are."""
    found: list[tuple[Way, Callable[[Row], bool]]] = []
    terms = wanted.literals()
    if terms:
        found.append((Way.NAMES, lambda row: all(term in row.folded for term in terms)))
    if tier is not None and tier[0] < LAST:
        found.append((Way.STARTS, lambda row: relevance(row.folded, tier[1]) < LAST))
    if wanted.begins:
        found.append((Way.BEGINS, lambda row: row.folded.startswith(wanted.begins)))
    if wanted.holder is not None:
        found.append((Way.HOLDER, lambda row: wanted.holder in row.logs))
    if wanted.min_size is not None or wanted.max_size is not None:
        least, most = wanted.sizes()
        found.append((Way.SIZES, lambda row: least <= row.size <= most))
    if wanted.media_type is not None:
        found.append((Way.TYPE, wanted.media_test))
    if wanted.min_holders > 0:
        found.append((Way.COPIES, lambda row: row.holders >= wanted.min_holders))
    if wanted.online is not None:
        online = wanted.online
        found.append((Way.ONLINE, lambda row: not online.isdisjoint(row.logs)))
    return found


def _rows_walked(
    test: Callable[[Row], bool],
    text_test: Callable[[Row], bool],
    sample: Sequence[Row],
    walk: Walk,
    weight: float,
) -> float:
    """Seconds until the page is full, for each row of the sample one."""
    enough = walk.limit / weight
    matched, spent = 0, 0.0
    for row in sample:
        if walk.after is not None:
            key = walk.key(row)
            if key >= walk.after if walk.descending else key <= walk.after:
                continue
        spent += WALK
        if text_test(row):
            spent += LOOK
            matched += test(row)
            if matched > enough:
                return spent * max(enough / matched, 0.05)
    return spent
