"""What an answer costs who gets it, of its fair share of what a holder sends.

A party that takes pieces in four times as slowly passes them on as slowly, and they would reach the others
late: its answers cost four times as much. What counts is the rate at which it receives from everybody, not
how long this answer takes: one connection of many may be slow for no fault of the party's, and would remain
so if it were used less for it.
"""

from __future__ import annotations

SLOWNESS = 3.0
"""Parties whose rates are within this factor of the usual one count as equally fast: who is late by chance
would get less for it, and so be later still."""
MOST_SHARES = 4.0
"""That a quick party can get."""
MOST_COST = 16.0
LATEST = 32
"""Parties whose rates tell what is usual."""


class UploadCost:
    """The costs of one holder's answers."""

    def __init__(self) -> None:
        self._rates: dict[str, float] = {}
        """Of the parties that got the latest answers, the latest last."""

    def cost(self, party: str, count: float, rate: float) -> float:
        """Of an answer of ``count`` bytes to a party that receives ``rate`` bytes a second; 0: not known.

        Who claims too much gets four shares at most, and does not move what is usual, the median of all.
        """
        if rate <= 0:
            return count
        rates = self._rates
        rates.pop(party, None)
        rates[party] = rate
        if len(rates) > LATEST:
            del rates[next(iter(rates))]
        slowness = sorted(rates.values())[len(rates) // 2] / rate
        if 1 / SLOWNESS <= slowness <= SLOWNESS:
            return count
        return count * min(MOST_COST, max(1 / MOST_SHARES, slowness))
