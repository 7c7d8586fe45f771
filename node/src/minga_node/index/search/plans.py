"""How to run a search: the ways there are, what each will cost, and the cheapest. Pure.

Times are for one row, measured with a million rows; what counts is their ratio.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from minga_node.index.search.conditions import Conditions, Row
from minga_node.index.search.ranks import LAST_RANK, relevance

WALK_SECONDS = 0.5e-6
"""Seconds to look at a row in the order of an index, and to find that its name will not do."""
LOOK_SECONDS = 3.0e-6
"""Seconds to look at the rest of a row whose name will do, far from the one before."""
CANDIDATE_SECONDS = 2.5e-6
"""Seconds to find a row by its number, test and sort it."""
HELD_SECONDS = 1.5e-6
"""Seconds to find, test and sort a row that a holder has: its rows lie near each other."""
ASK_SECONDS = 1.5e-6
"""Seconds more, where it has to be asked who holds a row."""
TAIL_SECONDS = 0.4e-6
"""Seconds to look at a row that an index does not have yet."""


class Way(Enum):
    """A way to run a search."""

    WALK = "walk"
    """Rows in the order that is asked for, until the page is full."""
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
    UNDER = "under"
    """All rows under the prefixes that may be looked at, sorted."""
    STARTS = "starts"
    """All rows of which a part begins with the word, sorted."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a way costs."""

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
    held: int | None = None
    """Rows of the holder that is asked for, where they have been counted: of one among a hundred the sample
    has too few to go by."""


@dataclass(frozen=True, slots=True)
class Walk:
    """The order that is asked for, and the part of it."""

    key: Callable[[Row], Any]
    descending: bool
    after: Any
    """The place where the page begins; None for the first."""
    limit: int
    by_name: bool
    """The index of names has every row at once."""
    tier: tuple[int, str] | None = None
    """Only rows of this relevance to this word."""


def estimate(wanted: Conditions, sample: Sequence[Row], shape: Shape, walk: Walk) -> list[Estimate]:
    """The ways that can answer, the cheapest first; ``sample`` is in the order of the walk."""
    if not sample:
        return [Estimate(Way.WALK, shape.total * WALK_SECONDS)]
    weight = shape.total / len(sample)
    tier = walk.tier

    def named(row: Row) -> bool:
        return wanted.text_test(row) and (tier is None or relevance(row.folded, tier[1]) == tier[0])

    ask = ASK_SECONDS if wanted.holder is not None or wanted.online is not None else 0.0
    behind = 0.0 if walk.by_name else shape.unordered * TAIL_SECONDS
    ranges = wanted.ranges()
    passed = sample
    if walk.by_name and len(ranges) == 1:
        passed = [row for row in sample if row.folded.startswith(ranges)]
    walked = _walked(wanted, named, passed, walk, walk.limit / weight, LOOK_SECONDS + ask)
    found = [Estimate(Way.WALK, walked * weight + behind)]
    for way, of_it in _candidates(wanted, tier):
        rows = list(filter(of_it, sample))
        # Nothing in the sample is less than one of it, not nothing.
        count = max(len(rows), 0.5)
        asked = 0.0 if way in {Way.HOLDER, Way.ONLINE} else ask
        if way in {Way.SIZES, Way.COPIES}:
            looked = sum(map(wanted.text_test, rows)) + 0.5
            seconds = (count * WALK_SECONDS + looked * (LOOK_SECONDS + asked)) * weight
        elif way is Way.HOLDER:
            seconds = (count * weight if shape.held is None else shape.held) * HELD_SECONDS
        else:
            seconds = count * weight * (CANDIDATE_SECONDS + asked)
        if way in {Way.NAMES, Way.STARTS}:
            seconds += shape.unnamed * TAIL_SECONDS
        elif way in {Way.SIZES, Way.TYPE, Way.COPIES}:
            seconds += shape.unordered * TAIL_SECONDS
        found.append(Estimate(way, seconds))
    return sorted(found, key=lambda each: each.seconds)


def _candidates(wanted: Conditions, tier: tuple[int, str] | None) -> list[tuple[Way, Callable[[Row], bool]]]:
    """The ways that begin with some rows, and which rows those are."""
    found: list[tuple[Way, Callable[[Row], bool]]] = []
    terms = wanted.literals()
    if terms:
        found.append((Way.NAMES, lambda row: all(term in row.folded for term in terms)))
    if tier is not None and tier[0] < LAST_RANK:
        found.append((Way.STARTS, lambda row: relevance(row.folded, tier[1]) < LAST_RANK))
    if wanted.begins:
        found.append((Way.BEGINS, lambda row: row.folded.startswith(wanted.begins)))
    if ranges := wanted.ranges():
        found.append((Way.UNDER, lambda row: row.folded.startswith(ranges)))
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


def _walked(
    wanted: Conditions,
    named: Callable[[Row], bool],
    sample: Sequence[Row],
    walk: Walk,
    enough: float,
    look: float,
) -> float:
    """Seconds until the page is full, if the sample were all; ``enough`` of its rows fill it."""
    rows = sample
    if walk.after is not None:
        rows = [
            row
            for row in sample
            if (walk.key(row) < walk.after if walk.descending else walk.key(row) > walk.after)
        ]
    spent, names, others, both = 0.0, 0, 0, 0
    for row in rows:
        spent += WALK_SECONDS
        fits = wanted.test_but_text(row)
        others += fits
        if named(row):
            spent += look
            names += 1
            both += fits
            if both >= CERTAIN and both > enough:
                return spent * max(enough / both, 0.05)
    # Too few to count on: expect what there would be if names had nothing to do with the rest, as far as what
    # was found does not speak against it (the mean of a gamma distribution after the observation).
    expected = names * others / max(len(rows), 1)
    likely = expected * (both + 1) / (expected + 1)
    return spent * min(1.0, enough / likely) if likely else spent


CERTAIN = 4
"""Rows of the sample that are enough to count on."""
