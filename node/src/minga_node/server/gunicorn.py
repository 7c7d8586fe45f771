"""gunicorn's threaded worker inside this process: no master that forks, since the node's parts live here."""

from __future__ import annotations

import logging
import os
import signal
import socket
import tempfile
import threading
from typing import Any

from gunicorn.app.base import BaseApplication
from gunicorn.config import Config as GunicornConfig
from gunicorn.glogging import Logger
from gunicorn.workers.gthread import ThreadWorker

log = logging.getLogger(__name__)


class _Worker(ThreadWorker):  # type: ignore[misc,unused-ignore]
    """What a worker does for its master, it need not do here."""

    def init_signals(self) -> None:
        """Signals are the app's."""

    def notify(self) -> None:
        """Nobody waits for a sign of life."""

    def is_parent_alive(self) -> bool:
        return True


class _Application(BaseApplication):
    def __init__(self, wsgi: Any) -> None:
        self._wsgi = wsgi
        super().__init__()

    def load_config(self) -> None:
        """Nothing of its own: the worker gets the configuration."""

    def load(self) -> Any:
        return self._wsgi

    def wsgi(self) -> Any:
        return self._wsgi


class _Logger(Logger):  # type: ignore[misc,unused-ignore]
    """gunicorn's log lines go the way of ours."""

    def setup(self, cfg: Any) -> None:  # noqa: ARG002
        self.error_log = logging.getLogger("gunicorn")

    def access(self, *args: Any) -> None:
        """Requests are metrics, not log lines."""

    def close_on_exec(self) -> None:
        """No files of its own."""


def _closing(wsgi: Any) -> Any:
    """Has gunicorn close a connection whose answer says so. Hop-by-hop headers are the server's (PEP 3333),
    so it drops that one, and would say that it keeps the connection it is about to close.
    """

    def application(environ: dict[str, Any], start_response: Any) -> Any:
        def start(status: str, headers: list[tuple[str, str]], *more: Any) -> Any:
            if ("Connection", "close") in headers:
                start_response.__self__.force_close()
            return start_response(status, headers, *more)

        return wsgi(environ, start)

    return application


class HttpServer:
    """Serves a WSGI app on ``ip:port`` (port 0 takes a free one).

    Raises:
        OSError: the address is taken or not ours.
    """

    def __init__(self, ip: str, port: int, *, threads: int, grace: float) -> None:
        family = socket.AF_INET6 if ":" in ip else socket.AF_INET
        self._socket = socket.create_server((ip, port), family=family, backlog=1024)
        # What is accepted inherits it. Without, the second write of an answer waits for the client's delayed
        # acknowledgement of the first: 40 ms for each request of a kept-alive connection.
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.port: int = self._socket.getsockname()[1]
        self._threads = threads
        self._grace = grace
        self._worker: _Worker | None = None
        self._thread: threading.Thread | None = None

    def start(self, wsgi: Any) -> None:
        config = GunicornConfig()
        for key, value in {
            "threads": self._threads,
            "worker_connections": max(1000, 2 * self._threads),
            "keepalive": 75,
            "graceful_timeout": int(self._grace),
            "limit_request_line": 8190,
            "worker_tmp_dir": tempfile.gettempdir(),
        }.items():
            config.set(key, value)
        self._worker = _Worker(
            1, os.getpid(), [self._socket], _Application(_closing(wsgi)), 0, config, _Logger(config)
        )
        self._thread = threading.Thread(target=self._worker.init_process, name="rest", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Accepts nobody any more, and gives running requests their grace."""
        if self._worker is None or self._thread is None:
            self._socket.close()
            return
        self._worker.handle_exit(signal.SIGTERM, None)
        self._thread.join(self._grace + 3)
