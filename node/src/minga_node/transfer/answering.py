"""Who of those that asked gets an answer, and its bytes on their way.

A bounded number of requests is answered at a time (slots), the others wait in a fair queue, and those that
would wait too long hear 503 with Retry-After (:mod:`minga_node.swarm.admission`). Few slots make the first
copy of a piece arrive early, to be passed on.
"""

from __future__ import annotations

import select
import time
from collections import deque
from collections.abc import Callable

from minga_node import metrics, tracing
from minga_node.errors import BadRequest, RangeNotSatisfiable
from minga_node.swarm import Admission, FairQueue
from minga_node.swarm.admission import OVERDUE
from minga_node.transfer import http
from minga_node.transfer.answers import Answer, answer, refusal, unsatisfiable
from minga_node.transfer.limiter import TokenBucket
from minga_node.transfer.requests import Asked, Refusal
from minga_node.transfer.shelf import Shelf
from minga_node.transfer.uploads import Connection, Gossip, News, Request, pieces_of

QUANTUM = 1024 * 1024
SMALLEST_WRITE = 16 * 1024
STALLED = 0.2
"""Seconds without progress after which a transfer no longer counts as using a slot."""
NO_NEWS = News()
OUT = {kind: metrics.BYTES.labels("out", kind) for kind in ("peer", "client")}


class Answering:
    """Used by the piece listener's thread alone.

    Args:
        slots: answers under way at a time, not counting those whose receiver has stalled.
        queue: requests that may wait for a slot, however short they would.
        limiter: limit on bytes out.
        want: sets the events (of epoll) that a connection waits for.
        drop: closes a connection.
    """

    def __init__(
        self,
        shelf: Shelf,
        *,
        slots: int,
        queue: int,
        limiter: TokenBucket,
        gossip: Gossip | None,
        want: Callable[[Connection, int], None],
        drop: Callable[[Connection], None],
    ) -> None:
        self._shelf, self._slots, self._most_queued = shelf, slots, queue
        self._limiter, self._gossip = limiter, gossip
        self._want, self._drop = want, drop
        self._queue: FairQueue[Connection] = FairQueue()
        self._admission = Admission(slots)
        self._sending: set[Connection] = set()
        self._limited: deque[Connection] = deque()
        self._answered: deque[Connection] = deque()
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
        if self._answered:
            return 0.0
        return min(longest, max(0.001, self._limiter.delay())) if self._limited else longest

    def go_on(self, now: float) -> None:
        """Does what has become possible since the last call."""
        for _ in range(len(self._answered)):
            connection = self._answered.popleft()
            if not connection.closed:
                self.next_request(connection)
        for _ in range(len(self._limited)):
            self.advance(self._limited.popleft(), now)
        self._fill_slots(now)

    # requests

    def read(self, connection: Connection) -> None:
        """Something more was asked on a connection."""
        if connection.request is None and not connection.sending and connection not in self._answered:
            self.next_request(connection)

    def next_request(self, connection: Connection) -> None:
        """Looks at what was asked next; ends with it in the queue, an answer on its way, or nothing to do."""
        self._want(connection, select.EPOLLIN)
        if not connection.asked:
            return
        asked = connection.asked.popleft()
        if isinstance(asked, Refusal):
            said = refusal(asked.status, asked.text, allow=asked.allow)
            self._say(connection, said, closing=asked.closing)
            return
        connection.closing = connection.closing or asked.closing
        if asked.follows and asked.peer and self._gossip:
            self._meet(connection, asked, self._gossip)
            return
        if asked.head_only and asked.peer and asked.have and self._gossip:
            # Only news, which were heard when it was read.
            self._say(connection, Answer("204 No Content"), told=self._news(asked.content_id, asked.peer))
            return
        served = self._shelf.open(asked.content_id) if asked.content_id else None
        if served is None:
            self._say(connection, refusal("404 Not Found", "this content is not here"))
            return
        try:
            ranges = http.parse_ranges(asked.range, served.content.size) if asked.range else []
        except BadRequest as error:
            self._say(connection, refusal("400 Bad Request", str(error)), closing=True)
            return
        except RangeNotSatisfiable as error:
            self._say(connection, unsatisfiable(error.size))
            return
        if asked.traceparent and connection.span is tracing.NOTHING:
            attributes = {"minga.peer": asked.peer, "minga.content.id": asked.content_id}
            connection.span = tracing.span("serve pieces", "server", attributes, parent=asked.traceparent)
        request = Request(served, ranges, asked.head_only, asked.peer, time.monotonic(), asked.rate)
        party = request.peer or connection.address
        later = self._admission.refuses(self._queue, party, request.since)
        if not later and len(self._queue) >= self._most_queued:
            later = self._admission.later(self._queue, party, request.since)
        if later:
            self._send_away(connection, later)
            return
        connection.request = request
        self._shelf.take(served)
        self._queue.add(connection.party, connection)

    def _send_away(self, connection: Connection, seconds: int) -> None:
        """It is to ask others meanwhile."""
        self.refusals += 1
        metrics.UPLOADS_REFUSED.inc()
        busy = refusal("503 Service Unavailable", "all upload slots are taken", retry_after=seconds)
        self._say(connection, busy)

    def send_away_overdue(self, now: float) -> None:
        """Answers those that wait much longer than it seemed when they came."""
        for connection in [one for one in self._queue if one.request and now - one.request.since > OVERDUE]:
            party = connection.party
            self._queue.discard(party, connection)
            self._release(connection)
            self._send_away(connection, self._admission.later(self._queue, party, now))

    def _say(
        self, connection: Connection, said: Answer, *, closing: bool = False, told: News = NO_NEWS
    ) -> None:
        """Answers without a slot."""
        connection.closing = connection.closing or closing
        self._send(connection, said, time.monotonic(), told)

    def _meet(self, connection: Connection, asked: Asked, gossip: Gossip) -> None:
        """From now on every answer to this peer carries what is new."""
        told = gossip.meet(asked.content_id, asked.peer) if asked.content_id else None
        if told is None:
            self._say(connection, Answer("404 Not Found", (("Content-Length", "0"),)))
            return
        key = asked.content_id, asked.peer
        if key in connection.met:
            # It asks once more, and is counted once.
            gossip.part(*key)
        elif told.follows:
            connection.met.add(key)
        self._say(connection, Answer("204 No Content"), told=told)

    def _news(self, content_id: str, peer: str) -> News:
        gossip = self._gossip if peer else None
        return News(gossip.news(content_id, peer), gossip.others(content_id, peer)) if gossip else NO_NEWS

    # answers

    def _fill_slots(self, now: float) -> None:
        turns = 0
        while self._queue and len(self._sending) < 4 * self._slots:
            busy = sum(now - connection.last_progress < STALLED for connection in self._sending)
            if busy >= self._slots:
                break
            connection = self._queue.take()
            turns += 1
            try:
                self._begin(connection, now)
            except OSError:
                self._drop(connection)
        self._admission.pace.moved(now, turns, len(self._queue))

    def _begin(self, connection: Connection, now: float) -> None:
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
        self._send(connection, said, now, self._news(served.id, request.peer))

    def _send(self, connection: Connection, said: Answer, now: float, told: News = NO_NEWS) -> None:
        more = [("Minga-Have", http.format_pieces(told.pieces))] if told.pieces else []
        if told.others:
            more.append(("Minga-Others", http.format_names(told.others)))
        if connection.closing:
            more.append(("Connection", "close"))
        connection.pending = said.head(more)
        connection.offset, connection.end, connection.body = said.start, said.end, said.end - said.start
        connection.sending = True
        connection.last_progress = connection.begun = now
        if connection.bound is not None:
            connection.bound.begin(said.start)
        self._sending.add(connection)
        self.advance(connection, now)

    def advance(self, connection: Connection, now: float) -> None:
        """Sends what can be sent now."""
        if not connection.sending:
            return
        if connection.draining:
            self._sent(connection, now)
            return
        most = min(QUANTUM, self._limiter.available())
        if most < SMALLEST_WRITE and connection.offset < connection.end:
            self._want(connection, connection.events & select.EPOLLIN)
            self._limited.append(connection)
            return
        try:
            count = connection.send(most)
        except OSError:
            self._drop(connection)
            return
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

    def _sent(self, connection: Connection, now: float) -> None:
        """An answer has gone; its slot is free."""
        self._sending.remove(connection)
        connection.sending = connection.draining = False
        connection.last_progress = now
        if (request := connection.request) is not None:
            OUT["peer" if request.peer else "client"].inc(connection.body)
            connection.sent += connection.body
            # Whoever is no peer receives nothing else.
            rate = request.rate if request.peer else connection.body / max(1e-6, now - connection.begun)
            self._queue.charge(connection.party, connection.body, rate)
        self._release(connection)
        if connection.closing:
            self._drop(connection)
        else:
            # Not from here: a long pipeline of requests must not become a deep recursion.
            self._answered.append(connection)

    def forget(self, connection: Connection) -> None:
        """It is being closed."""
        if self._gossip is not None:
            for content_id, peer in connection.met:
                self._gossip.part(content_id, peer)
        connection.met.clear()
        if connection.request is not None and not connection.sending:
            self._queue.discard(connection.party, connection)
        self._sending.discard(connection)
        if connection in self._limited:
            self._limited.remove(connection)
        self._release(connection)

    def _release(self, connection: Connection) -> None:
        request, connection.request = connection.request, None
        if request is not None:
            self._shelf.give_back(request.served)
