"""Many connections of an attacker, on loopback, and what they do meanwhile."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from tests.nodes import HOST

PACE = 0.5
"""Seconds between two acts of a connection."""
AGAIN = 100


class Crowd:
    """Connections to one port, each of which is made again when it was ended.

    Args:
        count: how many.
        act: what each does every half second.
        again: how many are made again between two acts, at most.
    """

    def __init__(self, port: int, count: int, act: Callable[[socket.socket], None], again: int) -> None:
        self._port, self._act, self._again = port, act, again
        self._sockets = [self._connect() for _ in range(count)]
        self.ended = 0
        """How many the other side has ended."""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _connect(self) -> socket.socket:
        sock = socket.socket()
        sock.settimeout(5)
        with suppress(OSError):  # it is not let in, and tries again
            sock.connect((HOST, self._port))
            sock.setblocking(False)
        return sock

    def _run(self) -> None:
        while not self._stop.is_set():
            begun = time.monotonic()
            again = self._again
            for place, sock in enumerate(self._sockets):
                if self._stop.is_set():
                    return
                try:
                    self._act(sock)
                except BlockingIOError:
                    continue
                except OSError:
                    if again:
                        again -= 1
                        self.ended += 1
                        sock.close()
                        self._sockets[place] = self._connect()
            self._stop.wait(max(0.0, begun + PACE - time.monotonic()))

    def close(self) -> None:
        self._stop.set()
        self._thread.join(10)
        for sock in self._sockets:
            sock.close()


@contextmanager
def crowd(port: int, count: int, act: Callable[[socket.socket], None], again: int = AGAIN) -> Iterator[Crowd]:
    made = Crowd(port, count, act, again)
    try:
        yield made
    finally:
        made.close()
