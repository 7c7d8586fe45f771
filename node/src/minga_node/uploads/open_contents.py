"""The contents that the piece listener has open."""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future

from minga_node import descriptors
from minga_node.errors import Busy, MingaError
from minga_node.manifest import piece_size
from minga_node.uploads.blocking import BlockingCalls
from minga_node.uploads.connection import Contents, OpenContent, Opener, Served

log = logging.getLogger(__name__)

KEPT_OPEN = 5.0
"""Seconds for which a content without a reader stays open."""
MOST_KEPT_OPEN = 256
"""Contents that stay open without a reader, among them those that will be asked for next."""
SHARE = 16
"""The contents that are open take a sixteenth of the descriptors at most."""
MOST_OPEN = 1024
AT_ONCE = 16
"""Contents that are opened or closed with one change of threads."""

Found = Callable[[Served | MingaError | None], None]
"""Told of a content that was to be opened; None: it is not here; an error: why it cannot be opened now."""


def most_open() -> int:
    """How many contents may be open at a time."""
    return max(16, min(MOST_OPEN, descriptors.limit() // SHARE))


class OpenContents:
    """Opens each content once for all its readers. Used by one thread, which never waits for a disk: contents
    are opened and closed by others.
    """

    def __init__(self, contents: Contents, blocking: BlockingCalls) -> None:
        self._contents, self._blocking = contents, blocking
        self._served: dict[str, Served] = {}
        self._unused: OrderedDict[str, Served] = OrderedDict()
        """Without a reader, the longest so first."""
        self._asked: dict[str, list[Found]] = {}
        """Who waits for what is being opened."""
        self._closing: list[OpenContent] = []
        self._most = most_open()

    def __len__(self) -> int:
        return len(self._served)

    def get(self, content_id: str) -> Served | None:
        """A content that is open; it counts as unused until :meth:`take`."""
        return self._served.get(content_id)

    def open(self, content_id: str, found: Found, soon: Iterable[str] = ()) -> None:
        """Opens a content that is not open; ``found`` is called later, in the same thread.

        ``soon`` are others that will be asked for next: opened together they cost one change of threads.
        """
        if content_id in self._asked:
            self._asked[content_id].append(found)
            return
        room = self._most - (len(self._served) - len(self._unused) + len(self._asked))
        if room <= 0:
            found(Busy("too many contents are open"))
            return
        self._asked[content_id] = [found]
        self._open([content_id], soon, room)

    def ahead(self, soon: Iterable[str]) -> None:
        """Opens what will be asked for next."""
        self._open([], soon, self._most - (len(self._served) - len(self._unused) + len(self._asked)))

    def _open(self, ids: list[str], soon: Iterable[str], room: int) -> None:
        for other in soon:
            if len(ids) >= min(room, AT_ONCE):
                break
            if other not in self._asked and other not in self._served:
                self._asked[other] = []
                ids.append(other)
        if ids:
            self._blocking.run(
                lambda: _try_all(self._contents, ids), lambda opened: self._opened(ids, opened)
            )

    def _opened(self, ids: Sequence[str], opened: Future[list[OpenContent | MingaError | None]]) -> None:
        for content_id, content in zip(ids, opened.result(), strict=True):
            told: Served | MingaError | None
            if content is None or isinstance(content, MingaError):
                told = content
            else:
                told = self._keep(content_id, content)
            for found in self._asked.pop(content_id):
                found(told)

    def _keep(self, content_id: str, content: OpenContent) -> Served:
        piece = piece_size(content.size)
        served = Served(content_id, content, piece, [0] * -(-content.size // piece))
        self._served[content_id] = served
        self._put_down(served)
        return served

    def take(self, served: Served) -> None:
        served.users += 1
        self._unused.pop(served.id, None)

    def give_back(self, served: Served) -> None:
        served.users -= 1
        if not served.users:
            self._put_down(served)

    def _put_down(self, served: Served) -> None:
        served.idle_since = time.monotonic()
        self._unused[served.id] = served
        while len(self._unused) > min(MOST_KEPT_OPEN, self._most):
            self._close(next(iter(self._unused.values())))

    def sweep(self, now: float) -> None:
        """Closes what nobody has read for a while."""
        while self._unused:
            served = next(iter(self._unused.values()))
            if now - served.idle_since <= KEPT_OPEN:
                break
            self._close(served)
        if self._closing:
            self._close_now()

    def close(self) -> None:
        """At the end of the listener; waits for the disk."""
        for content in [*self._closing, *(served.content for served in self._served.values())]:
            content.close()
        self._closing.clear()
        self._served.clear()
        self._unused.clear()

    def _close(self, served: Served) -> None:
        del self._served[served.id]
        self._unused.pop(served.id, None)
        if served.content.data is None:
            self._closing.append(served.content)
        if len(self._closing) >= AT_ONCE:
            self._close_now()

    def _close_now(self) -> None:
        # Elsewhere, as the last reader of a file that was removed frees all of it.
        closing, self._closing = self._closing, []
        self._blocking.run(lambda: _close_all(closing))


def _close_all(contents: Iterable[OpenContent]) -> None:
    for content in contents:
        content.close()


def _try_all(contents: Contents, ids: Iterable[str]) -> list[OpenContent | MingaError | None]:
    with contents.several() as open_one:
        return [_try(open_one, one) for one in ids]


def _try(open_one: Opener, content_id: str) -> OpenContent | MingaError | None:
    try:
        return open_one(content_id)
    except MingaError as error:
        return error
    except OSError as error:
        return Busy(f"cannot be opened: {error.strerror}")
    except Exception:
        log.exception("the content %s cannot be opened", content_id)
        return Busy("cannot be opened")
