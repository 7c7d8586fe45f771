"""What is asked on the connections of the piece listener, up to where it needs a slot.

What a request needs that may block, to open a content or to look what a peer may be told, is done on other
threads; meanwhile its connection waits, and the others go on.
"""

from __future__ import annotations

import logging
import select
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from itertools import islice

from minga_node import tracing
from minga_node.errors import BadRequest, MingaError, RangeNotSatisfiable
from minga_node.uploads.blocking import BlockingCalls
from minga_node.uploads.connection import (
    AvailabilityExchange,
    Guard,
    PieceNews,
    QueuedUpload,
    Served,
    UploadConnection,
)
from minga_node.uploads.open_contents import OpenContents
from minga_node.uploads.responses import PieceResponse, refusal, unsatisfiable
from minga_node.uploads.scheduler import UploadScheduler
from minga_node.wire import http
from minga_node.wire.piece_request import PieceRequest, Refusal, heads

log = logging.getLogger(__name__)

PIPELINE = 128
"""Requests of one connection that are read before the first is answered."""
BACKLOG = 64 * 1024
"""Bytes that they may take."""
AHEAD = 16
"""Next requests whose contents are opened together,"""
LEAST_AHEAD = 8
"""as soon as no more than so many are."""
HEAD_SECONDS = 10.0
"""In which a head that has begun must end."""


class RequestReader:
    """Used by the piece listener's thread alone.

    Args:
        want: sets the events (of epoll) that a connection waits for.
        drop: closes a connection.
        attempt: does something for a connection, which an error ends.
    """

    def __init__(
        self,
        shelf: OpenContents,
        answering: UploadScheduler,
        blocking: BlockingCalls,
        *,
        gossip: AvailabilityExchange | None,
        want: Callable[[UploadConnection, int], None],
        drop: Callable[[UploadConnection], None],
        attempt: Guard,
    ) -> None:
        self._shelf, self._answering, self._blocking = shelf, answering, blocking
        self._gossip = gossip
        self._want, self._drop, self._attempt = want, drop, attempt
        self._answered: deque[UploadConnection] = deque()

    @property
    def pending(self) -> bool:
        """Whether there are next requests to be looked at."""
        return bool(self._answered)

    def answered(self, connection: UploadConnection) -> None:
        """An answer has gone; the next request has its turn.

        Not at once: a long pipeline of requests must not become a deep recursion.
        """
        self._answered.append(connection)

    def go_on(self) -> None:
        for _ in range(len(self._answered)):
            connection = self._answered.popleft()
            if not connection.closed and not connection.busy:
                self._attempt(connection, self.next_request, connection)

    def readable(self, connection: UploadConnection) -> None:
        """Takes in what came. What a peer says it has counts at once, though its request may have to wait.

        Raises:
            OSError: the connection broke.
        """
        try:
            data = connection.receive()
        except BlockingIOError:
            return
        if not data:
            if connection.sending or connection.looking:
                # It may only have ended its own side, and still read.
                connection.closing = True
                self._want(connection, connection.events & ~select.EPOLLIN)
            else:
                self._drop(connection)
            return
        if not connection.read and not connection.busy:
            # From the first byte of a head on; those that follow give it no more time.
            connection.until = time.monotonic() + HEAD_SECONDS
        connection.read += data
        before = len(connection.read)
        for asked in heads(connection.read):
            if isinstance(asked, PieceRequest) and asked.peer and asked.have and self._gossip:
                self._gossip.heard(asked.content_id, asked.peer, asked.have)
                asked = asked._replace(have="-")
            connection.asked.append(asked)
        connection.backlog += before - len(connection.read)
        if not connection.busy and connection not in self._answered:
            self.next_request(connection)
        if len(connection.asked) > PIPELINE or connection.backlog > BACKLOG:
            # It asks faster than it is answered: listen again when it is.
            self._want(connection, connection.events & ~select.EPOLLIN)

    def next_request(self, connection: UploadConnection) -> None:
        """Looks at what was asked next; ends with it in the queue, an answer on its way, or nothing to do."""
        self._want(connection, select.EPOLLIN)
        if not connection.asked:
            connection.backlog = 0
            self._answering.rests(connection, reading=bool(connection.read))
            return
        self._answering.works(connection)
        asked = connection.asked.popleft()
        connection.ahead = max(0, connection.ahead - 1)
        if isinstance(asked, Refusal):
            said = refusal(asked.status, asked.text, allow=asked.allow)
            self._answering.say(connection, said, closing=asked.closing)
            return
        connection.closing = connection.closing or asked.closing
        if asked.follows and asked.peer and self._gossip:
            self._meet(connection, asked, self._gossip)
            return
        if asked.head_only and asked.peer and asked.have and self._gossip:
            # Only news, which were heard when it was read.
            told = self._answering.news(asked.content_id, asked.peer)
            self._answering.say(connection, PieceResponse("204 No Content"), told=told)
            return
        served = self._shelf.get(asked.content_id) if asked.content_id else None
        if served is not None or not asked.content_id:
            if connection.ahead <= LEAST_AHEAD and len(connection.asked) > connection.ahead:
                self._shelf.ahead(self._next(connection))
            self._found(connection, asked, served)
            return
        connection.looking = True
        connection.ahead = 0
        self._shelf.open(
            asked.content_id, lambda found: self._opened(connection, asked, found), self._next(connection)
        )

    def _next(self, connection: UploadConnection) -> list[str]:
        """Contents that will be asked for next, beyond those that are opened already."""
        some = list(islice(connection.asked, connection.ahead, connection.ahead + AHEAD))
        connection.ahead += len(some)
        return [one.content_id for one in some if isinstance(one, PieceRequest) and one.content_id]

    def _opened(
        self, connection: UploadConnection, asked: PieceRequest, found: Served | MingaError | None
    ) -> None:
        connection.looking = False
        if not connection.closed:
            self._attempt(connection, self._found, connection, asked, found)

    def _found(
        self, connection: UploadConnection, asked: PieceRequest, served: Served | MingaError | None
    ) -> None:
        if isinstance(served, MingaError):
            self._answering.say(
                connection, refusal("503 Service Unavailable", "it cannot be opened now", retry_after=1)
            )
            return
        if served is None:
            self._answering.say(connection, refusal("404 Not Found", "this content is not here"))
            return
        try:
            ranges = http.parse_ranges(asked.range, served.content.size) if asked.range else []
        except BadRequest as error:
            self._answering.say(connection, refusal("400 Bad Request", str(error)), closing=True)
            return
        except RangeNotSatisfiable as error:
            self._answering.say(connection, unsatisfiable(error.size))
            return
        if asked.traceparent and connection.span is tracing.NOTHING:
            attributes = {"minga.peer": asked.peer, "minga.content.id": asked.content_id}
            connection.span = tracing.span("serve pieces", "server", attributes, parent=asked.traceparent)
        request = QueuedUpload(served, ranges, asked.head_only, asked.peer, time.monotonic(), asked.rate)
        self._answering.queue(connection, request)

    # peers that follow

    def _meet(self, connection: UploadConnection, asked: PieceRequest, gossip: AvailabilityExchange) -> None:
        """From now on every answer to this peer carries what is new."""
        if not asked.content_id:
            self._met(connection, asked, gossip, None)
            return
        connection.looking = True
        self._blocking.run(
            lambda: gossip.meet(asked.content_id, asked.peer),
            lambda told: self._looked(connection, asked, gossip, told),
        )

    def _looked(
        self,
        connection: UploadConnection,
        asked: PieceRequest,
        gossip: AvailabilityExchange,
        ended: Future[PieceNews | None],
    ) -> None:
        connection.looking = False
        try:
            told = ended.result()
        except Exception:
            log.exception("a peer cannot follow")
            told = None
        if connection.closed:
            if told is not None and told.follows:
                gossip.part(asked.content_id, asked.peer)
            return
        self._attempt(connection, self._met, connection, asked, gossip, told)

    def _met(
        self,
        connection: UploadConnection,
        asked: PieceRequest,
        gossip: AvailabilityExchange,
        told: PieceNews | None,
    ) -> None:
        if told is None:
            self._answering.say(connection, PieceResponse("404 Not Found", (("Content-Length", "0"),)))
            return
        key = asked.content_id, asked.peer
        if key in connection.met:
            # It asks once more, and is counted once.
            gossip.part(*key)
        elif told.follows:
            connection.met.add(key)
        connection.useful = True
        self._answering.say(connection, PieceResponse("204 No Content"), told=told)
