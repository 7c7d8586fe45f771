"""A connection that one thread reads and others write; nobody waits on it."""

from __future__ import annotations

import select
import socket
import threading
import time
from collections.abc import Callable

SEND_SECONDS = 15.0
"""How long requests may wait until the other end reads some."""
MOST_WAITING = 4 * 1024 * 1024
"""Bytes of them."""


class ByteStream:
    """Takes over a connected socket. What it cannot take is kept, until whoever reads says that it can."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._wakes_at = 1
        self._waiting = bytearray()
        self._waits_since = 0.0
        self._writing = threading.Lock()
        """Guards what waits; never held while anything is waited for."""
        self.on_full: Callable[[], None] = lambda: None
        """Told that some waits: :meth:`flush` is to be called when the socket can take it."""
        sock.setblocking(False)

    def fileno(self) -> int:
        return self._sock.fileno()

    def receive(self, into: memoryview) -> int:
        """As much as is there, at least a byte; 0 at the end.

        Raises:
            BlockingIOError: nothing is there.
            OSError: the connection broke.
        """
        return self._sock.recv_into(into)

    @property
    def pending(self) -> bool:
        """Whether some is there of which the socket does not tell."""
        return False

    def wake_at(self, count: int) -> None:
        """Its socket is readable when so many bytes have come, or the end."""
        if count != self._wakes_at:
            self._wakes_at = count
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, count)

    def send(self, data: bytes) -> None:
        """Sends what the socket takes, and keeps the rest for :meth:`flush`.

        Raises:
            OSError: the connection broke, or the other end does not read.
        """
        with self._writing:
            if len(self._waiting) + len(data) > MOST_WAITING:
                raise TimeoutError("the other end does not read")
            known = bool(self._waiting)
            self._waiting += data
            if not known:
                self._send_waiting()
                self._waits_since = time.monotonic()
            fills = not known and bool(self._waiting)
        if fills:
            self.on_full()

    def flush(self) -> None:
        """Sends what waits, as far as the socket takes it.

        Raises:
            OSError: the connection broke.
        """
        if self._waiting:
            with self._writing:
                self._send_waiting()

    @property
    def full(self) -> bool:
        """Whether some waits."""
        return bool(self._waiting)

    def unread(self, now: float) -> bool:
        """Whether some has waited for too long."""
        return bool(self._waiting) and now - self._waits_since > SEND_SECONDS

    def _send_waiting(self) -> None:
        while self._waiting:
            try:
                with memoryview(self._waiting) as waiting:
                    count = self._send(waiting)
            except OSError:
                # It can be sent never. Not emptied: the error may hold a part of it, as those of OpenSSL do.
                self._waiting = bytearray()
                raise
            if not count:
                return
            del self._waiting[:count]
            self._waits_since = time.monotonic()

    def _send(self, data: memoryview) -> int:
        """How much the socket took."""
        try:
            return self._sock.send(data)
        except BlockingIOError:
            return 0

    @property
    def events(self) -> int:
        """Those of epoll to wait for, besides that something comes."""
        return select.EPOLLOUT if self._waiting else 0

    def shutdown(self) -> None:
        """Ends both directions; whoever waits for it to be readable is woken."""
        # Of the socket, not of TLS, which may be in use by another thread.
        socket.socket.shutdown(self._sock, socket.SHUT_RDWR)

    def close(self) -> None:
        self._sock.close()
