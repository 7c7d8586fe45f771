"""The downloading end of a piece connection by TLS."""

from __future__ import annotations

import socket
import ssl
import threading

from minga_node.fetching.stream import ByteStream
from minga_node.wire.tls import RECORD_BYTES, WAITING


class SecureStream(ByteStream):
    """By TLS, which OpenSSL alone does not let one thread read and others write."""

    def __init__(self, sock: ssl.SSLSocket) -> None:
        super().__init__(sock)
        self._secure = sock
        self._lock = threading.Lock()

    def receive(self, into: memoryview) -> int:
        position = 0
        with self._lock:
            try:
                while position < len(into):
                    count = self._secure.recv_into(into[position:])
                    if not count:
                        break
                    position += count
            except WAITING:
                if not position:
                    raise BlockingIOError from None
        return position

    @property
    def pending(self) -> bool:
        with self._lock:
            return bool(self._secure.pending())

    def wake_at(self, count: int) -> None:
        # A part of a record may have been taken out of the socket already.
        super().wake_at(max(1, count - RECORD_BYTES - 512))

    def _send(self, data: memoryview) -> int:
        with self._lock:
            try:
                return self._secure.send(data[:RECORD_BYTES])
            except WAITING:
                return 0


def stream_of(sock: socket.socket) -> ByteStream:
    """A connection for a thread that reads and others that write."""
    return SecureStream(sock) if isinstance(sock, ssl.SSLSocket) else ByteStream(sock)
