"""Clients that send, read or wait slowly: thousands of them in one thread."""

from __future__ import annotations

import resource
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

HOST = "127.0.0.1"
TRICKLE_SECONDS = 1.0

HALF_HEAD = b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Long: "
EVENTS = b"GET /api/v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %b\r\n\r\n"
IDLE = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
PUT = b"PUT /files/slow-%d HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n%b\r\n"
READ = b"GET /files/%b HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %b\r\n\r\n"


def more_descriptors() -> None:
    """As many as this process, and those that it starts, may have."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def kinds(token: bytes, big: bytes, gone: bytes) -> dict[str, Callable[[int], tuple[bytes, bytes]]]:
    """What each kind sends first, by a number, and again and again afterwards.

    Args:
        big: name of a file that is here, bigger than what the kernel buffers.
        gone: name of a file whose only holder is gone while it is fetched.
    """
    bearer = b"Authorization: Bearer " + token + b"\r\n"
    return {
        "half-sent heads": lambda _: (HALF_HEAD, b"x"),
        "slow bodies": lambda number: (PUT % (number, bearer), b"x"),
        "slow bodies without a token": lambda number: (PUT % (number, b""), b"x"),
        "unread answers": lambda _: (READ % (big, token), b""),
        "event streams": lambda _: (EVENTS % token, b""),
        "idle connections": lambda _: (IDLE, b""),
        "readers of what does not come": lambda _: (READ % (gone, token), b""),
    }


class SlowClients:
    """Opens connections; those that trickle go on until :meth:`close`."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.sockets: list[socket.socket] = []
        self._trickling: list[tuple[socket.socket, bytes]] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._trickle, name="slow clients", daemon=True)
        self._thread.start()

    def open(self, count: int, first: Callable[[int], tuple[bytes, bytes]]) -> None:
        for number in range(count):
            sock = socket.socket()
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.settimeout(10)
            sock.connect((HOST, self._port))
            head, again = first(number)
            sock.sendall(head)
            sock.setblocking(False)
            self.sockets.append(sock)
            if again:
                self._trickling.append((sock, again))

    def _trickle(self) -> None:
        while not self._ended.wait(TRICKLE_SECONDS):
            for sock, again in list(self._trickling):
                with suppress(OSError):
                    sock.send(again)

    def close(self) -> None:
        self._ended.set()
        self._thread.join()
        for sock in self.sockets:
            sock.close()


@contextmanager
def slow_clients(port: int) -> Iterator[SlowClients]:
    clients = SlowClients(port)
    try:
        yield clients
    finally:
        clients.close()


def latencies(port: int, request: bytes, seconds: float, status: bytes = b" 200 ") -> list[float]:
    """How long each of many requests took, sorted; every one on a connection of its own."""
    took = []
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        began = time.monotonic()
        with socket.create_connection((HOST, port), 60) as sock:
            sock.settimeout(60)
            sock.sendall(request)
            answer = b""
            while chunk := sock.recv(65536):
                answer += chunk
        took.append(time.monotonic() - began)
        if status not in answer.split(b"\r\n", 1)[0]:
            raise AssertionError(answer[:300])
    return sorted(took)
