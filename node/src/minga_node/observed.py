"""Figures that are looked up when Prometheus asks for them, and not before."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from minga_node.capacity import Capacity
from minga_node.downloads import Downloads
from minga_node.errors import StorageFailed
from minga_node.index import Index
from minga_node.metrics import (
    BELOW_TARGET,
    CONTENTS,
    DISK_BYTES,
    STALLED_DOWNLOADS,
    TARGET,
    UPLOAD_SLOTS,
)
from minga_node.rarely import Rarely
from minga_node.uploads import PieceServer

STALLED_SECONDS = 60.0
MOST_COPIES = 3
"""From this number of copies on all count as one, so that the label stays bounded."""


def by_copies(copies: dict[int, int]) -> dict[str, int]:
    """Contents by number of copies, with a last class for all larger numbers: ``0``, ``1``, ``2``, ``3+``."""
    classes = {str(number): copies.get(number, 0) for number in range(MOST_COPIES)}
    classes[f"{MOST_COPIES}+"] = sum(count for number, count in copies.items() if number >= MOST_COPIES)
    return classes


def _of(figures: Callable[[], dict[str, int]], name: str) -> float:
    return figures()[name]


class Copies:
    """Contents of the whole network by their complete copies online; looked up rarely."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self._rarely = Rarely(self._find)

    def _find(self) -> dict[int, int]:
        try:
            return self._index.copies()
        except StorageFailed:
            # The node is ending, or its disk is: the last scrape may do without.
            return {}

    def classes(self) -> dict[str, int]:
        return by_copies(self._rarely())

    def below(self, target: int) -> int:
        """Contents with fewer."""
        return sum(count for number, count in self._rarely().items() if number < target)


def observe(
    copies: Copies,
    downloads: Downloads,
    pieces: PieceServer,
    capacity: Capacity,
    upload_slots: int,
    target: int,
) -> None:
    """Gives the gauges their figures."""
    for name in by_copies({}):
        CONTENTS.labels(name).set_function(partial(_of, copies.classes, name))
    BELOW_TARGET.set_function(partial(copies.below, target))
    TARGET.set(target)
    STALLED_DOWNLOADS.set_function(lambda: downloads.stalled(STALLED_SECONDS))
    UPLOAD_SLOTS.labels("busy").set_function(lambda: pieces.uploads)
    UPLOAD_SLOTS.labels("all").set(upload_slots)
    DISK_BYTES.labels("all").set_function(lambda: capacity.disk().total)
    DISK_BYTES.labels("free").set_function(lambda: capacity.disk().free)
