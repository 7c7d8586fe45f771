"""A connection that one thread reads, never waiting, and others write."""

from __future__ import annotations

import select
import socket

SEND_SECONDS = 15.0
"""How long requests may wait until the other end reads some."""


class Stream:
    """Takes over a connected socket."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._wakes_at = 1
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

    def send_all(self, data: bytes) -> None:
        """Sends all of it; waits while the socket is full.

        Raises:
            OSError: the connection broke, or the other end does not read.
        """
        rest = memoryview(data)
        while rest:
            count, event = self._send(rest)
            rest = rest[count:]
            if event:
                self._wait(event)

    def _send(self, data: memoryview) -> tuple[int, int]:
        """How much was sent, and the event (of poll) to wait for before more can be."""
        try:
            return self._sock.send(data), 0
        except BlockingIOError:
            return 0, select.POLLOUT

    def _wait(self, event: int) -> None:
        poll = select.poll()
        poll.register(self._sock, event)
        if not poll.poll(SEND_SECONDS * 1000):
            raise TimeoutError("the other end does not read")

    def shutdown(self) -> None:
        """Ends both directions; whoever waits for it to be readable is woken."""
        # Of the socket, not of TLS, which may be in use by another thread.
        socket.socket.shutdown(self._sock, socket.SHUT_RDWR)

    def close(self) -> None:
        self._sock.close()
