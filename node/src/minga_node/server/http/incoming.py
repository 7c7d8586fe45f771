"""What a client sends: heads and bodies of requests, out of a socket that does not block."""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Callable
from typing import IO

from minga_node.errors import MingaError
from minga_node.server.http.bodies import Body
from minga_node.server.http.limits import Limits
from minga_node.server.http.outgoing import BURST_BYTES
from minga_node.server.http.parsing import HttpRequest, ParseError, Parser

READ_HEAD_BYTES = 16 * 1024
READ_BODY_BYTES = 256 * 1024


class RequestRefused(Exception):
    """What comes cannot be read on: the client gets this answer, and the connection is of no use then."""

    def __init__(self, status: int, kind: str, detail: str) -> None:
        super().__init__(detail)
        self.status, self.kind, self.detail = status, kind, detail


class Incoming:
    """Receives requests. All methods are the thread's that owns the connection.

    Args:
        new_body: a place for a body, of so many bytes; None where its length is not known.
    """

    def __init__(self, sock: socket.socket, limits: Limits, new_body: Callable[[int | None], Body]) -> None:
        self._sock, self._new_body = sock, new_body
        self._parser = Parser(limits)
        self._body: Body | None = None
        self.moved = 0
        """Bytes of bodies that came since the connection began."""

    @property
    def requests(self) -> deque[HttpRequest]:
        """Requests whose heads are complete, in their order; the first is the one to be answered."""
        return self._parser.requests

    @property
    def begun(self) -> bool:
        """Whether a part of a head is here."""
        return self._parser.begun

    @property
    def idle(self) -> bool:
        """Whether nothing of a request is here."""
        return not self._parser.begun and not self._parser.requests

    def receive(self, size: int) -> bytes | None:
        """The bytes that are there; ``None`` for nothing yet, empty at the end or when the client is gone."""
        try:
            return self._sock.recv(size)
        except (BlockingIOError, InterruptedError):
            return None
        except OSError:
            return b""

    def feed(self, data: bytes) -> None:
        """Has the parser read bytes. Raises RequestRefused."""
        try:
            self._parser.feed(data)
        except ParseError as error:
            kind = "bad-request" if error.status == 400 else f"http-{error.status}"
            raise RequestRefused(error.status, kind, str(error)) from error

    def keep_body(self, request: HttpRequest) -> None:
        """Puts what has come of a request's body where it waits. Raises RequestRefused."""
        if self._body is None:
            self._body = self._new_body(request.length)
        if request.parts:
            parts, request.parts = request.parts, []
            self.moved += sum(map(len, parts))
            try:
                self._body.add(parts)
            except MingaError as error:
                raise RequestRefused(error.status, error.type, str(error)) from error

    def take_body(self) -> IO[bytes]:
        """The body of the first request, which is complete. The caller closes it."""
        body, self._body = self._body, None
        assert body is not None, "a body is kept before it is taken"
        return body.complete()

    def discard_body(self) -> None:
        """Forgets what has come of a body."""
        body, self._body = self._body, None
        if body is not None:
            body.discard()

    def read_body(self, request: HttpRequest) -> None:
        """Reads until the body is complete, nothing is there, or others have their turn.

        Raises:
            RequestRefused: the body cannot be kept, or it is cut off.
        """
        budget = BURST_BYTES
        while budget > 0 and not request.complete:
            data = self.receive(READ_BODY_BYTES)
            if data is None:
                return
            if not data:
                raise RequestRefused(400, "bad-request", f"the body ended after {request.received} bytes")
            budget -= len(data)
            self.feed(data)
            self.keep_body(request)

    def read_away(self) -> bool:
        """Reads what nobody needs any more; whether the client has ended."""
        for _ in range(32):
            data = self.receive(READ_BODY_BYTES)
            if data is None:
                return False
            if not data:
                return True
        return False
