"""Which calls are taken in where there are too many. Pure; not thread-safe."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import unquote

from minga_node.uploads.connection_limits import party


def caller(peer: str) -> str:
    """The party that calls, from gRPC's name of the other end, as ``ipv4:198.18.0.7:5000``."""
    kind, _, address = peer.partition(":")
    if kind not in {"ipv4", "ipv6"}:
        return peer
    return party(unquote(address).rpartition(":")[0].strip("[]"))


class Calls:
    """The calls under way. A new call always gets a place.

    Where its party has all that it may have, the oldest call of the party ends. Where all places are taken,
    the oldest call of the party with most calls ends.

    Args:
        most: calls in all.
        most_of_one: calls of one party.
    """

    def __init__(self, most: int, most_of_one: int) -> None:
        self._most, self._most_of_one = most, most_of_one
        self._running: dict[str, dict[object, Callable[[], object]]] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    @contextmanager
    def place(self, party: str, cancel: Callable[[], object]) -> Iterator[None]:
        """A place until the end of the block; ``cancel`` ends it before."""
        if len(self._running.get(party, ())) >= self._most_of_one:
            self._end_oldest(party)
        elif self._count >= self._most:
            self._end_oldest(max(self._running, key=lambda party: len(self._running[party])))
        mark = object()
        self._running.setdefault(party, {})[mark] = cancel
        self._count += 1
        try:
            yield
        finally:
            self._leave(party, mark)

    def _end_oldest(self, party: str) -> None:
        mark, cancel = next(iter(self._running[party].items()))
        self._leave(party, mark)
        cancel()

    def _leave(self, party: str, mark: object) -> None:
        """Frees the place of a call, once, whoever ends the call."""
        theirs = self._running.get(party, {})
        if theirs.pop(mark, None) is not None:
            self._count -= 1
            if not theirs:
                del self._running[party]
