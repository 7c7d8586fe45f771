"""Who of those that asked gets an answer, and its bytes on their way.

A bounded number of requests is answered at a time (slots), the others wait in a fair queue, and those that
would wait too long hear 503 with Retry-After (:mod:`minga_node.uploads.admission`). Few slots make the first
copy of a piece arrive early, to be passed on.
"""

from __future__ import annotations

import select
import time
from collections import Counter, deque
from collections.abc import Callable

from minga_node import metrics
from minga_node.uploads import send_buffer
from minga_node.uploads.admission import OVERDUE, Admission
from minga_node.uploads.blocking import BlockingCalls
from minga_node.uploads.connection import (
    AvailabilityExchange,
    Guard,
    PieceNews,
    QueuedUpload,
    UploadConnection,
    pieces_of,
)
from minga_node.uploads.connection_limits import ConnectionLimits
from minga_node.uploads.fair_queue import FairQueue
from minga_node.uploads.loading import QUANTUM, Loading
from minga_node.uploads.open_contents import OpenContents
from minga_node.uploads.responses import PieceResponse, answer, refusal
from minga_node.wire import http
from minga_node.wire.rate_limit import TokenBucket

SMALLEST_WRITE = 16 * 1024
STALLED = 0.2
"""Seconds without progress after which a transfer no longer counts as using a slot."""
UNREAD = 2.0
"""Seconds without progress after which a transfer may be one that its receiver does not read."""
MOST_UNREAD = 4
"""Answers that one party does not read, with which it gets no further ones."""
MOST_SENDING = 256
"""Answers under way, also those that nobody reads."""
GONE = 30.0
"""Seconds that a receiver may take without reading; what it reads gives it more of them."""
LEAST_RATE = 1024
"""Bytes a second that it has to read."""
IDLE = 120.0
"""Seconds between two requests of one connection."""
NO_NEWS = PieceNews()
OUT = {kind: metrics.BYTES.labels("out", kind) for kind in ("peer", "client")}


class UploadScheduler:
    """Used by the piece listener's thread alone.

    Args:
        loading: waits for disks.
        slots: answers under way at a time, not counting those whose receiver has stalled.
        queue: requests that may wait for a slot, however short they would; of one address half as many.
        limiter: limit on bytes out.
        connections: which are kept.
        want: sets the events (of epoll) that a connection waits for.
        drop: closes a connection.
        attempt: does something for a connection, which an error ends.
        answered: told of every connection whose answer has gone.
    """

    def __init__(
        self,
        shelf: OpenContents,
        loading: BlockingCalls,
        *,
        slots: int,
        queue: int,
        limiter: TokenBucket,
        gossip: AvailabilityExchange | None,
        connections: ConnectionLimits[UploadConnection],
        want: Callable[[UploadConnection, int], None],
        drop: Callable[[UploadConnection], None],
        attempt: Guard,
        answered: Callable[[UploadConnection], None],
    ) -> None:
        self._shelf, self._slots, self._most_queued = shelf, slots, queue
        self._loading = Loading(shelf, loading, attempt, self._loaded)
        self._limiter, self._gossip, self._connections = limiter, gossip, connections
        self._want, self._drop, self._attempt, self._answered = want, drop, attempt, answered
        self._queue: FairQueue[UploadConnection] = FairQueue()
        self._queued: dict[str, int] = {}
        """How many of an address wait."""
        self._admission = Admission(slots)
        self._sending: set[UploadConnection] = set()
        self._limited: deque[UploadConnection] = deque()
        self._next_look = 0.0
        self.refusals = 0
        """Requests sent away so far."""

    @property
    def uploads(self) -> int:
        """Answers under way."""
        return len(self._sending)

    @property
    def waiting(self) -> int:
        """Requests that wait for a slot."""
        return len(self._queue)

    def patience(self, longest: float) -> float:
        """How long the listener may wait for events: seconds, at most ``longest``."""
        return min(longest, max(0.001, self._limiter.delay())) if self._limited else longest

    def go_on(self, now: float) -> None:
        """Does what has become possible since the last call."""
        for _ in range(len(self._limited)):
            connection = self._limited.popleft()
            self._attempt(connection, self.advance, connection, now)
        self._fill_slots(now)

    def rests(self, connection: UploadConnection, *, reading: bool) -> None:
        """All that was asked on it is answered."""
        if not reading:
            connection.until = time.monotonic() + IDLE
        self._connections.rests(connection, proven=connection.useful)
        connection.useful = False

    def works(self, connection: UploadConnection) -> None:
        """Something that was asked on it is being done."""
        self._connections.works(connection)

    # requests

    def queue(self, connection: UploadConnection, request: QueuedUpload) -> None:
        """It may wait for a slot, or is sent away."""
        party = request.peer or connection.address
        later = self._admission.refuses(self._queue, party, request.since)
        of_one = self._queued.get(connection.address, 0)
        if not later and (len(self._queue) >= self._most_queued or 2 * of_one > self._most_queued):
            later = self._admission.later(self._queue, party, request.since)
        if later:
            self._send_away(connection, later)
            return
        connection.request = request
        self._shelf.take(request.served)
        self._queue.add(connection.party, connection)
        self._queued[connection.address] = of_one + 1

    def _unqueued(self, connection: UploadConnection) -> None:
        """It waits no more."""
        left = self._queued.pop(connection.address) - 1
        if left:
            self._queued[connection.address] = left

    def _send_away(self, connection: UploadConnection, seconds: int) -> None:
        """It is to ask others meanwhile."""
        self.refusals += 1
        metrics.UPLOADS_REFUSED.inc()
        busy = refusal("503 Service Unavailable", "all upload slots are taken", retry_after=seconds)
        self.say(connection, busy)

    def send_away_overdue(self, now: float) -> None:
        """Answers those that wait much longer than it seemed when they came."""
        for connection in [one for one in self._queue if one.request and now - one.request.since > OVERDUE]:
            party = connection.party
            self._queue.discard(party, connection)
            self._unqueued(connection)
            self._release(connection)
            later = self._admission.later(self._queue, party, now)
            self._attempt(connection, self._send_away, connection, later)

    def say(
        self,
        connection: UploadConnection,
        said: PieceResponse,
        *,
        closing: bool = False,
        told: PieceNews = NO_NEWS,
    ) -> None:
        """Answers without a slot."""
        connection.closing = connection.closing or closing
        self._send(connection, said, time.monotonic(), told)

    def news(self, content_id: str, peer: str) -> PieceNews:
        """What to tell a peer with an answer."""
        gossip = self._gossip if peer else None
        return (
            PieceNews(gossip.news(content_id, peer), gossip.others(content_id, peer)) if gossip else NO_NEWS
        )

    # answers

    def _fill_slots(self, now: float) -> None:
        turns = 0
        unread = Counter(one.party for one in self._sending if one.unread) if self._queue else Counter()
        without = {party for party, count in unread.items() if count >= MOST_UNREAD}
        while self._queue.ready(without):
            under_way = [one for one in self._sending if not one.unread]
            busy = sum(now - connection.last_progress < STALLED for connection in under_way)
            if busy >= self._slots or not self._room(len(under_way), now):
                break
            connection = self._queue.take(without)
            self._unqueued(connection)
            turns += 1
            self._attempt(connection, self._begin, connection, now)
        self._admission.pace.moved(now, turns, len(self._queue))

    def _room(self, under_way: int, now: float) -> bool:
        """Whether one more answer may begin: not where a slow link holds up many already."""
        if under_way < 4 * self._slots and len(self._sending) < MOST_SENDING:
            return True
        if now < self._next_look:
            return False
        self._next_look = now + UNREAD / 4
        # What holds them up may be a link, which more answers would make worse, or their own receivers.
        stuck = [one for one in self._sending if now - one.last_progress > UNREAD and self._look(one)]
        if len(self._sending) >= MOST_SENDING and stuck:
            self._drop(min(stuck, key=lambda one: one.last_progress))
        return bool(stuck)

    def _look(self, connection: UploadConnection) -> bool:
        """Whether an answer has waited for its receiver to read since the last look."""
        try:
            waited = send_buffer.unread(connection.sock)
        except OSError:
            return False
        connection.unread = waited > connection.waited
        connection.waited = waited
        if connection.unread and not connection.charged and connection.request is not None:
            connection.charged = True
            self._queue.charge(connection.party, connection.body)
        return connection.unread

    def _begin(self, connection: UploadConnection, now: float) -> None:
        """A queued request has its slot."""
        request = connection.request
        assert request is not None
        served = request.served
        gossip = self._gossip if request.peer else None
        said = answer(request, gossip.has(served.id, request.peer) if gossip and request.ranges else 0)
        if said.end == said.start and not request.head_only and served.content.size:
            self._release(connection)
            self._send(connection, said, now)
            return
        for piece in pieces_of(said.start, said.end, served.piece_size):
            served.sent[piece] += 1
        self._send(connection, said, now, self.news(served.id, request.peer))

    def _send(
        self, connection: UploadConnection, said: PieceResponse, now: float, told: PieceNews = NO_NEWS
    ) -> None:
        more = [("Minga-Have", http.format_pieces(told.pieces))] if told.pieces else []
        if told.others:
            more.append(("Minga-Others", http.format_names(told.others)))
        if connection.closing:
            more.append(("Connection", "close"))
        connection.pending = said.head(more)
        connection.offset, connection.end, connection.body = said.start, said.end, said.end - said.start
        connection.sending = True
        connection.ready = connection.offset
        connection.unread = connection.charged = False
        connection.last_progress = connection.begun = now
        connection.until = now + GONE
        if connection.bound is not None:
            connection.bound.begin(said.start)
        self._sending.add(connection)
        self.advance(connection, now)

    def advance(self, connection: UploadConnection, now: float) -> None:
        """Sends what can be sent now.

        Raises:
            OSError: the other side is gone, or the file.
        """
        if not connection.sending or connection.loading:
            return
        if connection.draining:
            self._sent(connection, now)
            return
        most = min(QUANTUM, self._limiter.available())
        if most < SMALLEST_WRITE and connection.offset < connection.end:
            self._want(connection, connection.events & select.EPOLLIN)
            self._limited.append(connection)
            connection.until = now + GONE
            return
        if connection.offset < connection.end:
            most = min(most, self._loading.ready(connection))
            if not most:
                self._want(connection, connection.events & select.EPOLLIN)
                self._loading.begin(connection)
                return
        before = len(connection.pending)
        count = connection.send(most)
        if moved := count + before - len(connection.pending):
            connection.unread = False
            connection.until = min(now + GONE, connection.until + moved / LEAST_RATE)
        if count:
            self._limiter.take(count)
            connection.last_progress = now
            if connection.bound is not None and connection.bound.taken_off(
                connection.sock, connection.offset, now
            ):
                connection.bound = None
        connection.draining = connection.done and connection.drains
        if not connection.done or connection.draining:
            self._want(connection, select.EPOLLOUT | (connection.events & select.EPOLLIN))
            return
        self._sent(connection, now)

    def _loaded(self, connection: UploadConnection) -> None:
        """A disk was waited for, not the receiver."""
        now = time.monotonic()
        connection.until = now + GONE
        self.advance(connection, now)

    def _sent(self, connection: UploadConnection, now: float) -> None:
        """An answer has gone; its slot is free."""
        self._sending.remove(connection)
        connection.loaded = b""
        connection.sending = connection.draining = False
        connection.last_progress = now
        if (request := connection.request) is not None:
            OUT["peer" if request.peer else "client"].inc(connection.body)
            connection.sent += connection.body
            # Whoever is no peer receives nothing else.
            rate = request.rate if request.peer else connection.body / max(1e-6, now - connection.begun)
            if not connection.charged:
                self._queue.charge(connection.party, connection.body, rate)
            connection.useful = connection.useful or connection.body > 0
        self._release(connection)
        if connection.closing:
            self._drop(connection)
        else:
            self._answered(connection)

    def forget(self, connection: UploadConnection) -> None:
        """It is being closed."""
        if self._gossip is not None:
            for content_id, peer in connection.met:
                self._gossip.part(content_id, peer)
        connection.met.clear()
        if connection.request is not None:
            if connection in self._sending:
                sent = connection.body - (connection.end - connection.offset)
                self._queue.charge(connection.party, 0 if connection.charged else sent)
            elif self._queue.discard(connection.party, connection):
                self._unqueued(connection)
        self._sending.discard(connection)
        if connection in self._limited:
            self._limited.remove(connection)
        self._release(connection)

    def _release(self, connection: UploadConnection) -> None:
        request, connection.request = connection.request, None
        if request is not None:
            self._shelf.give_back(request.served)
