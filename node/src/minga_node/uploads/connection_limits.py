"""Which connections a listener keeps, and which it ends where there are too many.

Pure: what a connection is, and how it is ended, is the listener's matter. Those that have been of use, and
those that are being served, are kept; a newcomer takes the place of the one that is of least use.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")


def party(address: str) -> str:
    """Whose address it is: of IPv6, whoever has one has all of its /64."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None:
            return str(found.ipv4_mapped)
        return str(ipaddress.IPv6Network((int(found) >> 64 << 64, 64)))
    return str(found)


@dataclass(slots=True)
class _Resting(Generic[T]):
    """Connections on which nothing is being done, those first that are of least use."""

    unproven: OrderedDict[T, None] = field(default_factory=OrderedDict)
    """That have not got anything yet, in the order in which they came; those first that asked in vain."""
    proven: OrderedDict[T, None] = field(default_factory=OrderedDict)
    """In the order in which they were last of use."""

    def first(self) -> T | None:
        for these in (self.unproven, self.proven):
            if these:
                return next(iter(these))
        return None

    def discard(self, item: T) -> None:
        self.unproven.pop(item, None)
        self.proven.pop(item, None)


@dataclass(slots=True)
class _Place:
    party: str
    proven: bool = False
    asked: bool = False


class ConnectionLimits(Generic[T]):
    """Those of one listener. Not thread-safe.

    Args:
        most: in all.
        most_of_one: of one party: lest one of them has all places.
    """

    def __init__(self, most: int, most_of_one: int) -> None:
        self._most, self._most_of_one = most, most_of_one
        self._places: dict[T, _Place] = {}
        self._counts: dict[str, int] = {}
        self._resting: _Resting[T] = _Resting()
        self._resting_of: dict[str, _Resting[T]] = {}

    def __len__(self) -> int:
        return len(self._places)

    def full_for(self, party: str) -> bool:
        """Whether one more of a party has to take the place of another one."""
        return len(self._places) >= self._most or self._counts.get(party, 0) >= self._most_of_one

    def least_useful(self, party: str) -> T | None:
        """Which is to end for one more of a party; None if all that may are being served."""
        if self._counts.get(party, 0) >= self._most_of_one:
            return self._resting_of[party].first()
        return self._resting.first()

    def add(self, item: T, party: str) -> None:
        """A new one, which has asked nothing yet."""
        self._places[item] = _Place(party)
        self._counts[party] = self._counts.get(party, 0) + 1
        for resting in (self._resting, self._resting_of.setdefault(party, _Resting())):
            resting.unproven[item] = None

    def works(self, item: T) -> None:
        """It has asked something that is being answered: it stays."""
        place = self._places.get(item)
        if place is not None:
            place.asked = True
            self._resting.discard(item)
            self._resting_of[place.party].discard(item)

    def rests(self, item: T, *, proven: bool) -> None:
        """Nothing is being done on it; ``proven`` if it got something that it may have come for."""
        place = self._places.get(item)
        if place is None:
            return
        place.proven = place.proven or proven
        for resting in (self._resting, self._resting_of[place.party]):
            resting.discard(item)
            if place.proven:
                resting.proven[item] = None
            else:
                resting.unproven[item] = None
                if place.asked:
                    resting.unproven.move_to_end(item, last=False)

    def proven(self, item: T) -> bool:
        """Whether it has ever been of use."""
        place = self._places.get(item)
        return place is not None and place.proven

    def remove(self, item: T) -> None:
        """It has ended."""
        place = self._places.pop(item, None)
        if place is None:
            return
        self._resting.discard(item)
        self._resting_of[place.party].discard(item)
        self._counts[place.party] -= 1
        if not self._counts[place.party]:
            del self._counts[place.party], self._resting_of[place.party]
