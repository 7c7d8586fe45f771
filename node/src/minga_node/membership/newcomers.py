"""How many names nobody has heard of may come from one address in a time. Pure: time is handed in.

A name costs its maker a key, but whoever hears it a signature to check and a row to write.
"""

from __future__ import annotations

from collections import OrderedDict

NEWCOMERS_AT_ONCE = 500
"""Newcomers of one address that are taken one after the other: a rack of nodes behind one router."""
NEWCOMERS_PER_SECOND = 20.0
MOST_ADDRESSES = 10_000


class Newcomers:
    """A bucket of tokens for each address (compare RFC 2697)."""

    def __init__(self) -> None:
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()
        """Tokens, and when they were counted; those first that came longest ago."""

    def may_come(self, address: str, now: float) -> bool:
        """Whether one more is taken; it counts then."""
        tokens, counted = self._left.pop(address, (float(NEWCOMERS_AT_ONCE), now))
        tokens = min(float(NEWCOMERS_AT_ONCE), tokens + (now - counted) * NEWCOMERS_PER_SECOND)
        self._left[address] = (tokens - (tokens >= 1), now)
        if len(self._left) > MOST_ADDRESSES:
            self._left.popitem(last=False)
        return tokens >= 1
