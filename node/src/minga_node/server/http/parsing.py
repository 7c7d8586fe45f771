"""Bytes of a connection into requests; no socket here.

RFC 9112 by llhttp, which refuses what two servers could read in two ways; sizes and counts are bounded here.
"""

from __future__ import annotations

from collections import deque
from urllib.parse import unquote_to_bytes

import httptools

from minga_node.server.http.limits import Limits


class ParseError(Exception):
    """The client's mistake, and the status to answer it with."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class HttpRequest:
    """One request: its head, and what has come of its body."""

    __slots__ = (
        "arrived",
        "chunked",
        "complete",
        "expects",
        "headers",
        "keep_alive",
        "length",
        "method",
        "parts",
        "received",
        "target",
        "version",
    )

    def __init__(self) -> None:
        self.method = ""
        self.target = b""
        self.version = "1.1"
        self.headers: list[tuple[bytes, bytes]] = []
        self.keep_alive = False
        self.expects = False
        """Whether the client waits for a word before it sends the body."""
        self.length: int | None = None
        """What the head says of the body; ``None`` for chunks."""
        self.chunked = False
        self.arrived = False
        """Whether the head is complete."""
        self.complete = False
        self.parts: list[bytes] = []
        """The parts of the body that nobody has taken yet."""
        self.received = 0

    def path(self) -> tuple[str, str]:
        """``PATH_INFO`` and ``QUERY_STRING`` as WSGI has them (PEP 3333), out of any form of target."""
        target = self.target
        if not target.startswith(b"/"):
            _, scheme, rest = target.partition(b"://")
            target = b"/" + rest.partition(b"/")[2] if scheme else target
        path, _, query = target.partition(b"#")[0].partition(b"?")
        if b"%" in path:
            path = unquote_to_bytes(path)
        return path.decode("latin-1"), query.decode("latin-1")


class Parser:
    """Feeds on what a connection receives; complete heads appear in :attr:`requests` in their order."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._parser = httptools.HttpRequestParser(self)
        self.requests: deque[HttpRequest] = deque()
        self._current = HttpRequest()
        self._begun = False
        self._in_line = True
        """Whether the first line of a request is still to come, or a part of it."""
        self._overhead = 0
        """Bytes that are neither body nor counted in a complete head."""
        self._trailers = 0
        self._error: ParseError | None = None

    @property
    def begun(self) -> bool:
        """Whether a part of a head is here."""
        return self._begun

    def feed(self, data: bytes) -> None:
        """Parses what came. Raises ParseError; the connection is of no use then."""
        self._overhead += len(data)
        if self._in_line and not data.isascii():
            data = _escaped(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            # We speak nothing else: the request is answered as it is, and the connection ends.
            self._current.keep_alive = False
            for request in self.requests:
                request.keep_alive = False
        except httptools.HttpParserError as error:
            raise self._error or ParseError(400, f"this is no HTTP/1.1 request: {error}") from None
        if self._begun and self._overhead > self._limits.head + 16 * self._current.received:
            raise ParseError(431, f"a head of more than {self._limits.head} bytes")

    def _refuse(self, status: int, message: str) -> None:
        self._error = ParseError(status, message)
        raise self._error

    # what httptools calls

    def on_message_begin(self) -> None:
        self._current = HttpRequest()
        self._begun = True
        self._trailers = 0

    def on_url(self, part: bytes) -> None:
        self._current.target += part
        if len(self._current.target) > self._limits.line:
            self._refuse(414, f"a target of more than {self._limits.line} bytes")

    def on_header(self, name: bytes, value: bytes) -> None:
        current, limits = self._current, self._limits
        self._in_line = False
        if len(name) + len(value) > limits.line:
            self._refuse(431, f"a header of more than {limits.line} bytes")
        if current.arrived:
            # Trailers are allowed and say nothing to us.
            self._trailers += 1
        else:
            current.headers.append((name.lower(), value))
        if len(current.headers) + self._trailers > limits.headers:
            self._refuse(431, f"more than {limits.headers} headers")

    def on_headers_complete(self) -> None:
        current, parser = self._current, self._parser
        current.method = parser.get_method().decode("latin-1")
        current.version = parser.get_http_version()
        current.keep_alive = parser.should_keep_alive()
        current.arrived = True
        hosts = 0
        for name, value in current.headers:
            if name == b"content-length":
                current.length = int(value)
            elif name == b"transfer-encoding":
                current.chunked = True
                if value.strip().lower() != b"chunked":
                    self._refuse(501, "a transfer coding other than chunked")
            elif name == b"expect":
                current.expects = value.strip().lower() == b"100-continue"
                if not current.expects:
                    self._refuse(417, "an expectation other than 100-continue")
            elif name == b"host":
                hosts += 1
        if hosts > 1 or (not hosts and current.version == "1.1"):
            self._refuse(400, "not one Host header (RFC 9112, 3.2)")
        self._overhead = 0
        self.requests.append(current)

    def on_body(self, data: bytes) -> None:
        self._current.parts.append(data)
        self._current.received += len(data)
        self._overhead = max(0, self._overhead - len(data))

    def on_message_complete(self) -> None:
        self._current.complete = True
        self._begun = False
        self._in_line = True
        self._overhead = 0


def _escaped(data: bytes) -> bytes:
    """Percent-encodes what is not ASCII in the first line: ``curl`` sends a name as it was typed, and llhttp
    takes only what RFC 3986 allows.
    """
    line, end, rest = data.partition(b"\n")
    return b"".join(b"%%%02X" % byte if byte > 0x7F else bytes((byte,)) for byte in line) + end + rest
