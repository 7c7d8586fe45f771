"""An API server that keeps one Lease, and can be made to hang: a real one on loopback."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from kubernetes import client

from minga_operator.kube import Kube


class Leases:
    """One Lease, as the API server keeps it, behind as many servers as there are candidates."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.lease: dict[str, Any] | None = None
        self.version = 0
        self.renewed = 0.0
        """When it was written last, by the clock of this process."""

    def holder(self) -> str:
        with self.lock:
            return str(self.lease["spec"]["holderIdentity"]) if self.lease else ""

    def write(self, lease: dict[str, Any], *, new: bool) -> bool:
        with self.lock:
            known = None if self.lease is None else self.lease["metadata"]["resourceVersion"]
            if new is not (self.lease is None) or (not new and lease["metadata"]["resourceVersion"] != known):
                return False
            self.version += 1
            lease["metadata"]["resourceVersion"] = str(self.version)
            self.lease, self.renewed = lease, time.monotonic()
            return True

    @contextmanager
    def server(self) -> Iterator[tuple[Kube, Callable[[str], None]]]:
        """A server of one candidate, and what makes it hang: "silent", "dripping" or "away"."""
        leases, mode, over = self, ["well"], threading.Event()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self, status: int, content: Any) -> None:
                body = json.dumps(content).encode()
                self.wfile.write(
                    f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
                )

            def handle_any(self) -> None:
                size = int(self.headers.get("Content-Length") or 0)
                body = json.loads(self.rfile.read(size)) if size else None
                if mode[0] == "away":
                    self.close_connection = True
                    return
                if mode[0] == "silent":
                    over.wait()
                if mode[0] == "dripping":
                    self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Much: ")
                    # Of a head that does not end: each byte comes in time.
                    while not over.wait(0.1):
                        self.wfile.write(b"x")
                if over.is_set():
                    self.close_connection = True
                    return
                if self.command == "GET":
                    with leases.lock:
                        lease = leases.lease
                    self.answer(200 if lease else 404, lease or {"message": "not found", "code": 404})
                elif body is not None and leases.write(body, new=self.command == "POST"):
                    self.answer(200, body)
                else:
                    self.answer(409, {"message": "conflict"})

            do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = handle_any  # noqa: N815

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: object) -> None:
                """A client that gave up is no news."""

        with Server(("127.0.0.1", 0), Handler) as server:
            thread = threading.Thread(target=server.serve_forever, args=(0.05,))
            thread.start()
            configuration = client.Configuration()
            configuration.host = f"http://127.0.0.1:{server.server_port}"
            try:
                yield Kube(configuration), lambda how: mode.__setitem__(0, how)
            finally:
                over.set()
                server.shutdown()
                thread.join()
