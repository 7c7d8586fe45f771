"""One connection: what it is waiting for, and what to do when that has come.

A connection belongs to one thread at a time, from an event of epoll to :meth:`HttpConnection.release`. Its
events come one by one (EPOLLONESHOT) and tell of a level, so one that is missed while the connection is owned
comes again when it is let go.
"""

from __future__ import annotations

import errno
import io
import logging
import math
import select
import socket
import threading
import time
from contextlib import suppress
from http import HTTPStatus
from typing import IO

from minga_node.errors import MingaError
from minga_node.metrics import REST_CUT
from minga_node.server.http.answers import HttpAnswer, ask
from minga_node.server.http.framing import frame
from minga_node.server.http.incoming import READ_HEAD_BYTES, Incoming, RequestRefused
from minga_node.server.http.lanes import Lane
from minga_node.server.http.outgoing import After, Outgoing
from minga_node.server.http.owner import Owner
from minga_node.server.http.parsing import HttpRequest
from minga_node.server.http.phases import MASKS, ConnectionPhase
from minga_node.server.http.problems import document, phrase
from minga_node.streams import Pause, Signal

log = logging.getLogger(__name__)

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class HttpConnection:
    """One client's connection, made for a fresh socket that does not block.

    All methods but :meth:`take` and :meth:`wake` are the owning thread's.
    """

    def __init__(self, server: Owner, sock: socket.socket, address: str) -> None:
        self._server, self._sock, self.fd = server, sock, sock.fileno()
        self.address = address
        self.phase = ConnectionPhase.HEAD
        self.since = time.monotonic()
        """Since when it waits for its client."""
        self.deadline = self.since + server.limits.head_seconds
        """When it has waited for too long."""
        self._lock = threading.Lock()
        self._owned = False
        self._woken = False
        self._in = Incoming(sock, server.limits, server.new_body)
        self._ready = False
        """Whether epoll says that there is something to move."""
        self._marked = 0
        """Bytes that had moved when the deadline was set."""
        self._out = Outgoing(sock, server.limits.in_memory)
        self._signal: Signal | None = None
        self._closing = False

    # whose it is

    def take(self) -> bool:
        """Makes the connection this thread's; whether it was free."""
        with self._lock:
            if self._owned or self.phase is ConnectionPhase.CLOSED:
                return False
            self._owned = True
            return True

    def release(self) -> None:
        """Lets the connection wait for its next event."""
        with self._lock:
            if self.phase is ConnectionPhase.CLOSED:
                return
            self._owned = False
            if self._woken and self.phase is ConnectionPhase.PAUSED:
                self.phase, self.deadline = ConnectionPhase.SEND, math.inf
            self._server.arm(self, MASKS[self.phase])

    def wake(self) -> None:
        """There may be something to answer with. From any thread, also one that holds locks."""
        with self._lock:
            self._woken = True
            if self.phase is ConnectionPhase.PAUSED and not self._owned:
                self.phase, self.deadline = ConnectionPhase.SEND, math.inf
                # There is room, or it would not have been paused: some thread of the pool takes it at once.
                self._server.arm(self, select.EPOLLOUT)

    @property
    def waits(self) -> bool:
        """Whether it waits for its client just now."""
        return not self._owned and self.phase not in {ConnectionPhase.PAUSED, ConnectionPhase.CLOSED}

    @property
    def idle(self) -> bool:
        """Whether nothing of a request is here, and no answer on its way."""
        return self.phase is ConnectionPhase.HEAD and self._in.idle

    # what there is to do

    def event(self, mask: int) -> None:
        """Takes an event of epoll."""
        if self.phase is ConnectionPhase.HEAD:
            self._read_head()
        elif self.phase is ConnectionPhase.LINGER:
            if self._in.read_away():
                self.close()
        elif self.phase is ConnectionPhase.PAUSED:
            if mask & (select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR):
                self.close()
        else:
            self._ready = True

    def lane(self) -> Lane[HttpConnection] | None:
        """The lane of the next :meth:`work`; ``None`` if there is nothing to do before the next event."""
        if self._ready:
            return self._server.moving
        if self.phase is ConnectionPhase.HEAD and self._in.requests:
            return self._server.lane(self._in.requests[0])
        return None

    def work(self) -> None:
        """Does what the connection is ready for. Blocks as the app does, never for the client."""
        try:
            try:
                self._step()
            except RequestRefused as refused:
                self._refuse(refused)
        except OSError as error:
            # The client went; anything else of the system is a fault of ours that a user should hear of.
            if error.errno not in {errno.EPIPE, errno.ECONNRESET, errno.ETIMEDOUT, errno.ENOTCONN}:
                log.warning("an answer to %s breaks off: %s", self.address, error)
            self.close()
        except MingaError as error:
            log.warning("an answer breaks off: %s", error)
            self.close()

    def _step(self) -> None:
        if self.phase is ConnectionPhase.HEAD:
            self._next_request()
        elif self.phase is ConnectionPhase.BODY:
            self._ready = False
            self._read_body()
        elif self.phase is ConnectionPhase.SEND:
            self._ready = False
            self._go_on(self._out.more())

    # receiving

    def _read_head(self) -> None:
        data = self._in.receive(READ_HEAD_BYTES)
        if data is None:
            return
        if not data and not self._in.begun:
            self.close()
            return
        try:
            if not data:
                raise RequestRefused(400, "bad-request", "the request is cut off")
            if self.idle:
                self._wait(self._server.limits.head_seconds)
            self._in.feed(data)
        except RequestRefused as refused:
            self._refuse(refused)

    def _next_request(self) -> None:
        request = self._in.requests[0]
        self._in.keep_body(request)
        if request.complete:
            self._ask(request, self._in.take_body())
            return
        # Before anything more is read: whether it may come, and whether it would be in vain.
        answer = ask(self._server.early, self._server.environments.make(request, self.address, io.BytesIO()))
        if answer.code != HTTPStatus.CONTINUE:
            self._begin(answer, request)
            return
        if request.expects:
            self._out.push(CONTINUE)
        self.phase = ConnectionPhase.BODY
        self._wait(self._server.limits.body_seconds)

    def _read_body(self) -> None:
        request = self._in.requests[0]
        self._in.read_body(request)
        if request.complete:
            self.phase = ConnectionPhase.HEAD
            self.deadline = math.inf

    # answering

    def _ask(self, request: HttpRequest, body: IO[bytes]) -> None:
        self.deadline = math.inf
        try:
            answer = ask(self._server.app, self._server.environments.make(request, self.address, body))
        finally:
            body.close()
        self._begin(answer, request)

    def _refuse(self, refused: RequestRefused) -> None:
        """Answers what cannot be read on; the connection is of no use then."""
        self._in.discard_body()
        request = HttpRequest()
        self._in.requests.clear()
        self._in.requests.append(request)
        status = refused.status
        body = document(refused.kind, status, refused.detail)
        headers = [("Content-Type", "application/problem+json"), ("Content-Length", str(len(body)))]
        self._begin(HttpAnswer(f"{status} {phrase(status)}", headers, [body]), request)

    def _begin(self, answer: HttpAnswer, request: HttpRequest) -> None:
        """Sends the head, and of the body what may go at once."""
        framing = frame(answer, request, stopping=self._server.stopping)
        self._closing = framing.closing
        head = answer.head(self._server.date(), *framing.fields)
        self.phase = ConnectionPhase.SEND
        after = self._out.begin(answer, head, silent=framing.silent, chunked=framing.chunked)
        self._go_on(after, at_once=True)

    def _go_on(self, after: After | Pause, at_once: bool = False) -> None:
        """What is next, as sending has ended so."""
        if after is After.DONE:
            self._finish()
        elif isinstance(after, Pause):
            self._pause(after)
        else:
            self._ready = at_once and after is After.TURN
            self._wait(self._server.limits.answer_seconds)

    def _pause(self, pause: Pause) -> None:
        self._woken = False
        self.phase = ConnectionPhase.PAUSED
        self.deadline = time.monotonic() + pause.seconds
        self._signal = pause.signal
        if self._signal is not None:
            self._signal.wait(self, pause.seen, self.wake)

    def _finish(self) -> None:
        """The answer is on its way; what is next?"""
        request = self._in.requests.popleft()
        if not self._closing:
            self.phase = ConnectionPhase.HEAD
            limits = self._server.limits
            self._wait(limits.head_seconds if self._in.begun else limits.idle_seconds)
        elif request.complete:
            self.close()
        else:
            with suppress(OSError):
                self._sock.shutdown(socket.SHUT_WR)
            self.phase = ConnectionPhase.LINGER
            self._wait(self._server.limits.linger_seconds)

    # waiting

    def _wait(self, seconds: float) -> None:
        self.since = time.monotonic()
        self.deadline = self.since + seconds
        self._marked = self._in.moved + self._out.moved

    def expire(self) -> None:
        """The deadline is over: looks whether there was progress, and ends what makes none."""
        limits = self._server.limits
        enough = self._in.moved + self._out.moved - self._marked >= limits.least_progress
        if self.phase is ConnectionPhase.BODY:
            if enough:
                self._wait(limits.body_seconds)
            else:
                REST_CUT.labels("body").inc()
                self._refuse(RequestRefused(408, "http-408", "the body does not come"))
        elif self.phase is ConnectionPhase.SEND:
            if enough:
                self._wait(limits.answer_seconds)
            else:
                REST_CUT.labels("answer").inc()
                self.close()
        elif self.phase is ConnectionPhase.HEAD and not self.idle:
            REST_CUT.labels("head").inc()
            self._refuse(RequestRefused(408, "http-408", "the head does not come"))
        else:
            self.close()

    def close(self) -> None:
        with self._lock:
            if self.phase is ConnectionPhase.CLOSED:
                return
            self.phase = ConnectionPhase.CLOSED
        if self._signal is not None:
            self._signal.leave(self)
        try:
            self._out.close()
        except Exception:
            log.exception("an answer did not end well")
        self._in.discard_body()
        self._server.forget(self)
        self._sock.close()
