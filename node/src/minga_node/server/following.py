"""Server-sent events of downloads: one look at a download for all who follow it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from threading import Event

from minga_node.downloads import Download, Downloads
from minga_node.streams import Pause
from minga_node.wire.http import format_pieces
from minga_node.wire.piece_set import Pieces

EVENT_SECONDS = 0.25
"""Time between two events of one download."""
QUIET_SECONDS = 1.0
"""Time between them while nothing but the time changes."""
KEPT_LOOKS = 1000
"""Looks that are kept."""


@dataclass(frozen=True, slots=True)
class _Look:
    at: float
    download: Download
    text: bytes


class Origins:
    """From whom the pieces of a download came, as far as one listener has been told."""

    def __init__(self) -> None:
        self._told: dict[str, Pieces] = {}

    def news(self, count: int, origins: Mapping[str, Pieces]) -> str:
        """JSON ``{"count": all pieces, "by": {peer: "0-3,7"}}`` of what came since; empty if nothing did."""
        fresh = {peer: pieces & ~self._told.get(peer, 0) for peer, pieces in origins.items()}
        fresh = {peer: pieces for peer, pieces in fresh.items() if pieces}
        if not fresh:
            return ""
        for peer, pieces in fresh.items():
            self._told[peer] = self._told.get(peer, 0) | pieces
        by = {peer: format_pieces(pieces) for peer, pieces in fresh.items()}
        return json.dumps({"count": count, "by": by}, ensure_ascii=False)


class EventFollowing:
    """Makes the streams of events; many listeners of one download share one look at it.

    Args:
        stopping: ends all of them.
        encode: a download as JSON.
    """

    def __init__(self, downloads: Downloads, stopping: Event, encode: Callable[[Download], str]) -> None:
        self._downloads, self._stopping, self._encode = downloads, stopping, encode
        self._lock = threading.Lock()
        self._looks: dict[str, _Look] = {}

    def _look(self, identity: str) -> _Look:
        """The download as it is now, or was a moment ago. Raises NotFound."""
        now = time.monotonic()
        with self._lock:
            look = self._looks.get(identity)
        if look is not None and (look.download.state.ended or now - look.at < EVENT_SECONDS / 2):
            return look
        download = self._downloads.get(identity)
        text = f"event: {download.state}\ndata: {self._encode(download)}\n\n".encode()
        look = _Look(now, download, text)
        with self._lock:
            if len(self._looks) >= KEPT_LOOKS:
                self._looks.clear()
            self._looks[identity] = look
        return look

    def follow(
        self, identity: str, with_pieces: bool, still: Callable[[], bool] = lambda: True
    ) -> Iterator[bytes | Pause]:
        """Events of one download, to its end, or until its follower may no longer follow it."""
        origins = Origins()
        last: Download | None = None
        told = 0.0
        while True:
            look = self._look(identity)
            now = time.monotonic()
            quiet = last is not None and replace(look.download, seconds=last.seconds) == last
            if not quiet or (look.download != last and now - told >= QUIET_SECONDS):
                if with_pieces:
                    news = origins.news(look.download.pieces, self._downloads.origins(identity))
                    if news:
                        yield f"event: pieces\ndata: {news}\n\n".encode()
                yield look.text
                last, told = look.download, now
            if look.download.state.ended or self._stopping.is_set() or not still():
                return
            yield Pause(2 * EVENT_SECONDS if quiet else EVENT_SECONDS)
