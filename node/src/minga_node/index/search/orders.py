"""The orders of search results: total ones, of what is the same at every node."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from minga_node.index.search.conditions import Row


@dataclass(frozen=True, slots=True)
class Order:
    columns: tuple[str, ...]
    kinds: tuple[type, ...]
    index: str
    """The database's index that has it (ties of names aside)."""
    key: Callable[[Row], Any]
    changes: bool = False
    """What rows are sorted by may change while they exist."""

    @property
    def is_name(self) -> bool:
        return self.columns[0] == "folded"


def _by(column: str, *, changes: bool) -> Order:
    return Order(
        (column, "folded", "name", "content"),
        (int, str, str, bytes),
        f"files_{column}",
        lambda row: (getattr(row, column), row.folded, row.name, row.content),
        changes,
    )


BY_NAME = Order(
    ("folded", "name", "content"),
    (str, str, bytes),
    "files_folded",
    lambda row: (row.folded, row.name, row.content),
)
ORDERS = {
    "name": BY_NAME,
    "size": _by("size", changes=False),
    "modified": _by("modified", changes=True),
    "holders": _by("holders", changes=True),
}
