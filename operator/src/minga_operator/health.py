"""``/healthz``, ``/readyz`` and ``/metrics`` of the operator."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import make_wsgi_app

_BEAT_SECONDS = 1.0
_DEAD_SECONDS = 60.0

Environment = dict[str, Any]
Start = Callable[..., Any]


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Probes are not worth a line each."""


class Health:
    """Asks the parts whether they are at work, and event loops for a sign of life.

    Args:
        parts: each returns why the process should be restarted; empty when it need not.
    """

    def __init__(self, *parts: Callable[[], str]) -> None:
        self._parts = list(parts)
        self._beats: dict[asyncio.AbstractEventLoop, float] = {}
        self._metrics = make_wsgi_app()
        self.stage: Callable[[], tuple[bool, str]] = lambda: (False, "starting")
        """Whether this replica does what it is there for, and what that is now."""

    def at(self, stage: tuple[bool, str]) -> None:
        """From now on this is so."""
        self.stage = lambda: stage

    def watch(self, part: Callable[[], str]) -> None:
        """From now on that part is asked too."""
        self._parts.append(part)

    def serve(self, port: int) -> None:
        """Answers on that port from now on."""
        server: WSGIServer = make_server("", port, self._answer, handler_class=_Quiet)
        threading.Thread(target=server.serve_forever, name="health", daemon=True).start()

    def started(self, loop: asyncio.AbstractEventLoop) -> None:
        """That event loop runs: it must show so from now on, until it has ended."""

        def beat() -> None:
            self._beats[loop] = time.monotonic()
            loop.call_later(_BEAT_SECONDS, beat)

        beat()

    def ailment(self) -> str:
        """Why the process should be restarted; empty when it is well."""
        for loop, beat in list(self._beats.items()):
            silence = time.monotonic() - beat
            if loop.is_closed():
                self._beats.pop(loop, None)
            elif silence > _DEAD_SECONDS:
                return f"the event loop has been silent for {silence:.0f} s"
        return "; ".join(problem for part in list(self._parts) if (problem := part()))

    def _answer(self, environ: Environment, start: Start) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if path == "/metrics":
            content: Iterable[bytes] = self._metrics(environ, start)
            return content
        if path == "/healthz":
            ailment = self.ailment()
            return _text(start, 503 if ailment else 200, ailment or "ok")
        if path == "/readyz":
            ready, text = self.stage()
            return _text(start, 200 if ready else 503, text)
        return _text(start, 404, "not found")


def _text(start: Start, status: int, text: str) -> list[bytes]:
    reasons = {200: "OK", 404: "Not Found", 503: "Service Unavailable"}
    start(f"{status} {reasons[status]}", [("Content-Type", "text/plain; charset=utf-8")])
    return [f"{text}\n".encode()]
