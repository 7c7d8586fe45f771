"""Whether a content is gone: everybody who had it says so, or gives it no more. Pure.

A node that is away denies nothing: it may come back with the content.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

SETTLE_SECONDS = 3.0
"""For which nobody must have shared it: what has just changed is not known everywhere yet."""
DENIED_SECONDS = 30.0
"""For which those must have denied it that share it by what the index says: they may be hashing it again."""
MOST = 256
"""Former holders that are remembered."""


@dataclass(slots=True)
class Doubt:
    """What was heard about one content, by all attempts to get it."""

    _former: set[str] = field(default_factory=set)
    """Nodes that shared it."""
    _denied: dict[str, float] = field(default_factory=dict)
    """When nodes said first that they do not have it."""
    _unshared_since: float | None = None

    def shared_by(self, peers: Iterable[str]) -> None:
        """They share it, by what the index says."""
        self._former.update(list(peers)[: max(0, MOST - len(self._former))])

    def denied_by(self, peers: Iterable[str], now: float) -> None:
        """They were asked and said that they do not have it."""
        for peer in peers:
            self._denied.setdefault(peer, now)

    def given_by(self, peers: Iterable[str]) -> None:
        """They sent something of it."""
        for peer in peers:
            self._denied.pop(peer, None)

    def gone(self, listed: Mapping[str, bool], other_content: bool, now: float) -> bool:
        """Whether everybody denies it.

        Args:
            listed: nodes that share it by what the index says, with whether each is online.
            other_content: whether others share another content under its name.
        """
        self.shared_by(listed)
        if listed:
            self._unshared_since = None
            return all(
                online and now - self._denied.get(peer, now) >= DENIED_SECONDS
                for peer, online in listed.items()
            )
        if not self._former and not other_content:
            self._unshared_since = None
            return False
        if self._unshared_since is None:
            self._unshared_since = now
        # Where no holder was ever seen here, the index may be late.
        return now - self._unshared_since >= (SETTLE_SECONDS if self._former else DENIED_SECONDS)
