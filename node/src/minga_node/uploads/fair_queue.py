"""Who gets the next upload slot."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator
from typing import Generic, TypeVar

from minga_node.uploads.cost import UploadCost

T = TypeVar("T")

CREDIT = 512 * 1024
"""Bytes that a party which was away may be ahead of the others when it comes back."""


class FairQueue(Generic[T]):
    """Each party gets the same share of what is sent, whatever the number of its requests; a slow one less
    (:mod:`minga_node.uploads.cost`). (Start-time fair queueing, Goyal et al., 1996.)
    """

    def __init__(self) -> None:
        self._waiting: dict[str, deque[T]] = {}
        self._used: dict[str, float] = {}
        self._shares = UploadCost()
        self._time = 0.0
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[T]:
        """All that wait."""
        for items in self._waiting.values():
            yield from items

    def add(self, party: str, item: T) -> None:
        if party not in self._waiting:
            self._waiting[party] = deque()
            self._used[party] = max(self._used.get(party, self._time), self._time - CREDIT)
        self._waiting[party].append(item)
        self._length += 1

    def ahead(self, party: str) -> int:
        """How many of those that wait would get a slot before one more request of this party.

        Those of parties that have used less, and of each other one as many as the party has waiting itself,
        and one more.
        """
        own = len(self._waiting.get(party, ()))
        used = max(self._used.get(party, self._time), self._time - CREDIT)
        return own + sum(
            min(len(items), own + (self._used[other] <= used))
            for other, items in self._waiting.items()
            if other != party
        )

    def ready(self, without: Collection[str] = ()) -> bool:
        """Whether somebody waits, besides some parties."""
        return any(party not in without for party in self._waiting) if without else bool(self._waiting)

    def take(self, without: Collection[str] = ()) -> T:
        """The next item of the party that has used least, besides some; of equals the one that waits
        longest.
        """
        parties = [party for party in self._waiting if party not in without] if without else self._waiting
        party = min(parties, key=lambda party: self._used[party])
        items = self._waiting.pop(party)
        self._time = max(self._time, self._used[party])
        item = items.popleft()
        if items:
            self._waiting[party] = items
        self._length -= 1
        return item

    def charge(self, party: str, count: float, rate: float = 0.0) -> None:
        """A party has got an answer of ``count`` bytes; ``rate`` as for :meth:`UploadCost.cost`."""
        cost = self._shares.cost(party, count, rate)
        self._used[party] = self._used.get(party, self._time) + cost
        if len(self._used) > 4096:
            self._used = {name: used for name, used in self._used.items() if name in self._waiting}

    def discard(self, party: str, item: T) -> bool:
        """An item is not wanted any more; whether it waited."""
        items = self._waiting.get(party)
        if not items or item not in items:
            return False
        items.remove(item)
        self._length -= 1
        if not items:
            del self._waiting[party]
        return True
