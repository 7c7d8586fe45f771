"""Both ends of a piece connection by TLS. Never is a byte sent or taken that is not of TLS.

Kernel TLS would let ``sendfile`` go on, but Python 3.11 cannot ask for it, so contents are read and encrypted
here, a record at a time.
"""

from __future__ import annotations

import os
import select
import socket
import ssl
import threading
from dataclasses import dataclass, field

from minga_node.peer_tls import PeerTls
from minga_node.refusals import refusal
from minga_node.transfer.uploads import Connection

RECORD = 16 * 1024
"""Bytes of a TLS record at most (RFC 8446, 5.1); OpenSSL takes and gives no more at a time."""
HANDSHAKE_SECONDS = 5.0
CHUNK = 256 * 1024
"""Read from a file at a time."""
WAITING = (ssl.SSLWantReadError, ssl.SSLWantWriteError)


@dataclass(slots=True, eq=False)
class SecureConnection(Connection):
    """One accepted connection of the piece listener: first a handshake, then as one without TLS."""

    shaking: bool = True
    _chunk: memoryview = field(default_factory=lambda: memoryview(b""))
    """Of the head and the body, from the first byte that was not sent."""

    @property
    def secure(self) -> ssl.SSLSocket:
        assert isinstance(self.sock, ssl.SSLSocket)
        return self.sock

    def shake(self) -> int:
        """Goes on with the handshake; the event to wait for, 0 when it is done.

        Raises:
            OSError: it failed.
        """
        try:
            self.secure.do_handshake()
        except ssl.SSLWantReadError:
            return select.EPOLLIN
        except ssl.SSLWantWriteError:
            return select.EPOLLOUT
        self.shaking = False
        return 0

    def receive(self) -> bytes:
        try:
            found = self.secure.recv(RECORD)
            while self.secure.pending():
                found += self.secure.recv(RECORD)
        except WAITING:
            raise BlockingIOError from None
        return found

    def send(self, most: int) -> int:
        sent = 0
        try:
            while not self.done and (sent < most or self.pending):
                if not self._chunk:
                    self._chunk = self._read()
                if not self._chunk:
                    break
                # The same bytes again after a full socket, as OpenSSL wants it.
                count = self.secure.send(self._chunk[:RECORD])
                self._chunk = self._chunk[count:]
                head = min(count, len(self.pending))
                self.pending = self.pending[head:]
                self.offset += count - head
                sent += count - head
        except WAITING:
            pass
        return sent

    def _read(self) -> memoryview:
        body = b""
        if self.offset < self.end and self.request is not None:
            content = self.request.served.content
            body = os.pread(content.fileno(), min(CHUNK, self.end - self.offset), self.offset)
            if not body:
                raise ConnectionAbortedError("the file became shorter while it was sent")
        return memoryview(self.pending + body if self.pending else body)


class Door:
    """Makes connections of what the listener accepts. ``tls`` is None where peers speak without."""

    def __init__(self, tls: PeerTls | None) -> None:
        self._tls = tls

    def open(self, sock: socket.socket, address: str) -> Connection:
        if self._tls is None:
            return Connection(sock, address)
        secure = self._tls.server().wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
        return SecureConnection(secure, address)

    def admit(self, connection: Connection) -> int:
        """Goes on with a handshake; the event to wait for.

        Raises:
            OSError: who is there is no peer, or has gone.
        """
        assert isinstance(connection, SecureConnection)
        assert self._tls is not None
        try:
            event = connection.shake()
        except (ssl.SSLEOFError, ConnectionError):
            raise  # Whoever only looks whether the port is open is refused nothing.
        except OSError as error:
            self._tls.refusals.note(connection.address, *refusal(error))
            raise
        if event:
            return event
        if not self._tls.admits(connection.secure.getpeercert()):
            about = f"its certificate is not for {self._tls.name}"
            self._tls.refusals.note(connection.address, "name", about)
            raise ConnectionAbortedError(about)
        return select.EPOLLIN

    def late(self, connection: Connection) -> None:
        """It has taken too long for its handshake."""
        assert self._tls is not None
        self._tls.refusals.note(connection.address, "timeout", f"no handshake within {HANDSHAKE_SECONDS:g} s")


class SharedSocket:
    """A TLS connection that one thread reads and others write, which OpenSSL alone does not allow.

    It has what receivers use of a socket.
    """

    def __init__(self, sock: ssl.SSLSocket) -> None:
        self._sock, self._seconds = sock, sock.gettimeout()
        sock.setblocking(False)
        self._lock = threading.Lock()

    def settimeout(self, seconds: float) -> None:
        self._seconds = seconds

    def sendall(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            event = select.POLLOUT
            with self._lock:
                try:
                    rest = rest[self._sock.send(rest[:RECORD]) :]
                    continue
                except ssl.SSLWantReadError:
                    event = select.POLLIN
                except ssl.SSLWantWriteError:
                    pass
            self._wait(event)

    def recv(self, most: int) -> bytes:
        buffer = bytearray(most)
        return bytes(buffer[: self.recv_into(memoryview(buffer))])

    def recv_into(self, buffer: memoryview, _most: int = 0, _flags: int = 0) -> int:
        """As much as is there, and at least a byte; 0 at the end."""
        position = 0
        while position < len(buffer):
            event = select.POLLIN
            with self._lock:
                try:
                    count = self._sock.recv_into(buffer[position:])
                    if not count:
                        break
                    position += count
                    continue
                except ssl.SSLWantReadError:
                    pass
                except ssl.SSLWantWriteError:
                    event = select.POLLOUT
            if position:
                break
            self._wait(event)
        return position

    def setsockopt(self, level: int, option: int, value: int) -> None:
        if (level, option) == (socket.SOL_SOCKET, socket.SO_RCVLOWAT):
            # A part of a record may have been taken out of the socket already.
            value = max(1, value - RECORD - 512)
        self._sock.setsockopt(level, option, value)

    def shutdown(self, how: int) -> None:
        # Not SSLSocket.shutdown: that goes on without TLS, under the hands of the thread that reads.
        socket.socket.shutdown(self._sock, how)

    def close(self) -> None:
        self._sock.close()

    def _wait(self, event: int) -> None:
        poll = select.poll()
        poll.register(self._sock, event)
        if not poll.poll(None if self._seconds is None else self._seconds * 1000):
            raise TimeoutError


Stream = socket.socket | SharedSocket
"""What a receiver reads from and asks on."""


def shared(sock: socket.socket) -> Stream:
    """A connection for a thread that reads and others that write."""
    return SharedSocket(sock) if isinstance(sock, ssl.SSLSocket) else sock
