"""Relevance of a name to one word.

0: it is the name or the last part of it; 1: the name or a part begins with it; 2: it is somewhere in it.
"""

from __future__ import annotations

from typing import Any

from minga_node.index.search.conditions import after_prefix

Clause = tuple[str, list[Any]]

LAST_RANK = 2
"""The number of the last rank: the word is somewhere in the name."""


def relevance(folded: str, word: str) -> int:
    if folded == word or folded.endswith(f"/{word}"):
        return 0
    return 1 if folded.startswith(word) or f"/{word}" in folded else LAST_RANK


def _is(word: str) -> Clause:
    return "(f.folded = ? OR substr(f.folded, ?) = ?)", [word, -len(word) - 1, f"/{word}"]


def _begins(word: str) -> Clause:
    return (
        "((f.folded >= ? AND f.folded < ?) OR instr(f.folded, ?))",
        [word, after_prefix(word), f"/{word}"],
    )


def has_rank(rank: int, word: str) -> Clause:
    """Rows of ``files f`` that have this relevance."""
    is_it, is_values = _is(word)
    begins, begins_values = _begins(word)
    if rank == 0:
        return is_it, is_values
    if rank == 1:
        return f"({begins} AND NOT {is_it})", begins_values + is_values
    return f"NOT {begins} AND NOT {is_it}", begins_values + is_values


def rank_of(word: str) -> Clause:
    """The relevance as an expression."""
    is_it, is_values = _is(word)
    begins, begins_values = _begins(word)
    return f"CASE WHEN {is_it} THEN 0 WHEN {begins} THEN 1 ELSE {LAST_RANK} END", is_values + begins_values
