"""The contents that the piece listener has open."""

from __future__ import annotations

import time

from minga_node.manifest import piece_size
from minga_node.transfer.uploads import Contents, Served

KEPT_OPEN = 5.0
"""Seconds for which a content without a reader stays open."""
MOST_KEPT_OPEN = 64
"""Contents that stay open without a reader: many small ones would use up the descriptors."""


class Shelf:
    """Opens each content once for all its readers. Used by one thread."""

    def __init__(self, contents: Contents) -> None:
        self._contents = contents
        self._served: dict[str, Served] = {}

    def open(self, content_id: str) -> Served | None:
        """It counts as unused until :meth:`take`; None if it is not here."""
        served = self._served.get(content_id)
        if served is None:
            content = self._contents.open(content_id)
            if content is None:
                return None
            piece = piece_size(content.size)
            sent = [0] * -(-content.size // piece)
            served = self._served[content_id] = Served(content_id, content, piece, sent)
            served.idle_since = time.monotonic()
        return served

    def take(self, served: Served) -> None:
        served.users += 1

    def give_back(self, served: Served) -> None:
        served.users -= 1
        served.idle_since = time.monotonic()
        if not served.users and len(self._served) > MOST_KEPT_OPEN:
            self._close(served)

    def sweep(self, now: float) -> None:
        """Closes what nobody has read for a while."""
        for served in list(self._served.values()):
            if not served.users and now - served.idle_since > KEPT_OPEN:
                self._close(served)

    def close(self) -> None:
        for served in list(self._served.values()):
            self._close(served)

    def _close(self, served: Served) -> None:
        del self._served[served.id]
        served.content.close()
