"""A WSGI app's answers as bytes (PEP 3333, RFC 9112)."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from email.utils import formatdate
from typing import IO, Any

from minga_node.server.http.parsing import HttpRequest
from minga_node.streams import Pause, blocking

Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

HOP_BY_HOP = {
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
}
NAMES_KNOWN = 1000


class FileWrapper:
    """``wsgi.file_wrapper``: an open file from where it stands, sent by ``sendfile``."""

    def __init__(
        self, stream: IO[bytes], block: int = 8192, unchanged: Callable[[], bool] | None = None
    ) -> None:
        self.stream, self._block = stream, block
        self.unchanged = unchanged
        """Asked before the last bytes go: the answer is broken off if the file has been changed meanwhile."""

    def __iter__(self) -> Iterator[bytes]:
        return iter(lambda: self.stream.read(self._block), b"")

    def close(self) -> None:
        self.stream.close()


class AnswerStream:
    """An answer that comes by and by; its generator yields a :class:`Pause` instead of waiting."""

    def __init__(self, parts: Iterator[bytes | Pause]) -> None:
        self.parts = parts

    def __iter__(self) -> Iterator[bytes]:
        return blocking(self.parts)

    def close(self) -> None:
        if (close := getattr(self.parts, "close", None)) is not None:
            close()


class Environments:
    """Makes WSGI environments of requests to one server."""

    def __init__(self, host: str, port: int) -> None:
        self._names: dict[bytes, str] = {}
        self._base = {
            "SCRIPT_NAME": "",
            "SERVER_NAME": host,
            "SERVER_PORT": str(port),
            "SERVER_SOFTWARE": "minga",
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
            "wsgi.file_wrapper": FileWrapper,
        }

    def make(self, request: HttpRequest, address: str, body: IO[bytes]) -> dict[str, Any]:
        environ: dict[str, Any] = dict(self._base)
        environ["REQUEST_METHOD"] = request.method
        environ["PATH_INFO"], environ["QUERY_STRING"] = request.path()
        environ["RAW_URI"] = environ["REQUEST_URI"] = request.target.decode("latin-1")
        environ["SERVER_PROTOCOL"] = f"HTTP/{request.version}"
        environ["REMOTE_ADDR"] = address
        environ["wsgi.input"] = body
        for raw, value in request.headers:
            # A name with _ could not be told from one with -.
            if b"_" not in raw:
                name = self._names.get(raw) or self._name(raw)
                text = value.decode("latin-1")
                known = environ.get(name)
                if known is not None:
                    text = f"{known}{'; ' if name == 'HTTP_COOKIE' else ','}{text}"
                environ[name] = text
        if request.chunked:
            # The chunks are undone here; how long they were is known when all have come.
            del environ["HTTP_TRANSFER_ENCODING"]
            if request.complete:
                environ["CONTENT_LENGTH"] = str(request.received)
        return environ

    def _name(self, raw: bytes) -> str:
        name = raw.decode("latin-1").upper().replace("-", "_")
        if name not in {"CONTENT_TYPE", "CONTENT_LENGTH"}:
            name = f"HTTP_{name}"
        if len(self._names) < NAMES_KNOWN:
            self._names[raw] = name
        return name


class HttpAnswer:
    """What an app said: status and headers now, the body as it is asked for."""

    __slots__ = ("body", "closing", "code", "headers", "length", "status")

    def __init__(self, status: str, headers: list[tuple[str, str]], body: Iterable[bytes]) -> None:
        self.status, self.body = status, body
        self.code = int(status[:3])
        self.headers: list[str] = []
        self.length: int | None = None
        self.closing = False
        for name, value in headers:
            low = name.lower()
            if low in HOP_BY_HOP:
                self.closing = self.closing or (low == "connection" and "close" in value.lower())
                continue
            if low == "content-length":
                self.length = int(value)
            self.headers.append(f"{name}: {value}\r\n")

    @property
    def has_body(self) -> bool:
        return self.code >= 200 and self.code not in {204, 304}

    def head(self, date: str, *more: str) -> bytes:
        lines = (f"HTTP/1.1 {self.status}\r\n", date, *self.headers, *more, "\r\n")
        return "".join(lines).encode("latin-1")

    def close(self) -> None:
        if (close := getattr(self.body, "close", None)) is not None:
            close()


def ask(app: Wsgi, environ: dict[str, Any]) -> HttpAnswer:
    """Calls the app, which may block for as long as its work takes."""
    said: list[tuple[str, list[tuple[str, str]]]] = []

    def start_response(status: str, headers: list[tuple[str, str]], raised: Any = None) -> Callable[..., Any]:
        del raised
        said[:] = [(status, headers)]
        return _no_write

    body = app(environ, start_response)
    ((status, headers),) = said
    if not isinstance(body, FileWrapper | AnswerStream):
        try:
            whole = [b"".join(body)]
        finally:
            if (close := getattr(body, "close", None)) is not None:
                close()
        body = whole
    return HttpAnswer(status, headers, body)


def _no_write(_data: bytes) -> None:
    raise NotImplementedError("the app gives its body as an iterable")


class Clock:
    """The header ``Date`` (RFC 9110, 6.6.1), made once a second, with the server's name behind it."""

    def __init__(self) -> None:
        self._second, self._line = 0, ""

    def __call__(self) -> str:
        second = int(time.time())
        if second != self._second:
            self._line = f"Date: {formatdate(second, usegmt=True)}\r\nServer: minga\r\n"
            self._second = second
        return self._line
