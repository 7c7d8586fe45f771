"""How to run a search: the ways there are, what each will cost, and the cheapest.

Times are those of one row, measured with a million of them; what counts is their ratio.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from minga_node.index.conditions import Conditions, Row

WALK = 0.9e-6
"""Seconds to look at a row in the order of an index."""
CANDIDATE = 3.0e-6
"""Seconds to find a row by its number, test and sort it."""
TAIL = 0.4e-6
"""Seconds to look at a row that the full-text index does not have yet."""


class Way(Enum):
    WALK = "walk"
    """In the order that is asked for, until the page is full."""
    NAMES = "names"
    """All rows that the full-text index finds, sorted."""
    HOLDER = "holder"
    """All rows of one holder, sorted."""
    SIZES = "sizes"
    """All rows of these sizes, sorted."""
    BEGINS = "begins"
    """All rows whose names begin so, sorted."""
    STARTS = "starts"
    """All rows of which a part begins with the word, sorted."""


def relevance(folded: str, word: str) -> int:
    """0: it is the name or the last part of it; 1: the name or a part begins with it; 2: neither."""
    if folded == word or folded.endswith(f"/{word}"):
        return 0
    return 1 if folded.startswith(word) or f"/{word}" in folded else 2


@dataclass(frozen=True, slots=True)
class Estimate:
    way: Way
    seconds: float


def estimate(
    wanted: Conditions,
    sample: Sequence[Row],
    total: int,
    tail: int,
    key: Callable[[Row], Any],
    *,
    descending: bool,
    after: Any,
    limit: int,
    tier: tuple[int, str] | None = None,
) -> list[Estimate]:
    """The ways that can answer, the cheapest first.

    Args:
        sample: in the order of the keys, downwards where that is asked for.
        tier: only rows of this relevance to this word.
        tail: rows that the full-text index lacks.
        key: the sort key of a row; ``after`` is where the page begins, None for the first.
    """
    if not sample:
        return [Estimate(Way.WALK, total * WALK)]
    weight = total / len(sample)

    def test(row: Row) -> bool:
        return wanted.test(row) and (tier is None or relevance(row.folded, tier[1]) == tier[0])

    found = [Estimate(Way.WALK, _walk(test, sample, key, descending, after, limit / weight) * weight * WALK)]

    def candidates(test: Callable[[Row], bool]) -> float:
        # Nothing in the sample is less than one of it, not nothing.
        return max(sum(map(test, sample)), 0.5) * weight * CANDIDATE

    if wanted.literals():
        terms = wanted.literals()
        by_names = candidates(lambda row: all(term in row.folded for term in terms))
        found.append(Estimate(Way.NAMES, by_names + tail * TAIL))
    if tier is not None and tier[0] < 2:
        starts = candidates(lambda row: relevance(row.folded, tier[1]) < 2)
        found.append(Estimate(Way.STARTS, starts + tail * TAIL))
    if wanted.begins:
        found.append(Estimate(Way.BEGINS, candidates(lambda row: row.folded.startswith(wanted.begins))))
    if wanted.holder is not None:
        found.append(Estimate(Way.HOLDER, candidates(lambda row: wanted.holder in row.logs)))
    if wanted.min_size is not None or wanted.max_size is not None:
        least = wanted.min_size if wanted.min_size is not None else 0
        most = wanted.max_size if wanted.max_size is not None else 2**63
        found.append(Estimate(Way.SIZES, candidates(lambda row: least <= row.size <= most)))
    return sorted(found, key=lambda each: each.seconds)


def _walk(
    test: Callable[[Row], bool],
    sample: Sequence[Row],
    key: Callable[[Row], Any],
    descending: bool,
    after: Any,
    enough: float,
) -> float:
    """Rows of the sample until the page is full."""
    matched, passed = 0, 0
    for row in sample:
        if after is not None and (key(row) >= after if descending else key(row) <= after):
            continue
        passed += 1
        matched += test(row)
        if matched > enough:
            break
    else:
        return float(passed)
    return passed * max(enough / matched, 0.05)
