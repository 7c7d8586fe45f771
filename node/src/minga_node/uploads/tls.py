"""The uploading end of a piece connection by TLS. Never is a byte sent or taken that is not of TLS.

Kernel TLS would let ``sendfile`` go on, but Python 3.11 cannot ask for it, so contents are read and encrypted
here, a record at a time.
"""

from __future__ import annotations

import os
import select
import socket
import ssl
from dataclasses import dataclass, field

from minga_node.peer_tls import PeerTls
from minga_node.refusals import refusal
from minga_node.uploads.connection import UploadConnection
from minga_node.wire.tls import RECORD_BYTES, WAITING

HANDSHAKE_SECONDS = 5.0
CHUNK = 256 * 1024
"""Bytes read from a file at a time."""


@dataclass(slots=True, eq=False)
class SecureConnection(UploadConnection):
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
            found = self.secure.recv(RECORD_BYTES)
            while self.secure.pending():
                found += self.secure.recv(RECORD_BYTES)
        except WAITING:
            raise BlockingIOError from None
        return found

    def send(self, most: int) -> int:
        sent = 0
        try:
            while not self.done and (sent < most or self.pending):
                if not self._chunk:
                    self._chunk = self._read(most - sent)
                if not self._chunk:
                    break
                # The same bytes again after a full socket, as OpenSSL wants it.
                count = self.secure.send(self._chunk[:RECORD_BYTES])
                self._chunk = self._chunk[count:]
                head = min(count, len(self.pending))
                self.pending = self.pending[head:]
                self.offset += count - head
                sent += count - head
        except WAITING:
            pass
        return sent

    def _read(self, most: int) -> memoryview:
        body: bytes | memoryview = b""
        if self.offset < self.end and self.request is not None and most > 0:
            size = min(CHUNK, self.end - self.offset, most)
            found = self.in_memory(size)
            body = (
                found
                if found is not None
                else os.pread(self.request.served.content.fileno(), size, self.offset)
            )
            if not body:
                raise ConnectionAbortedError("the file became shorter while it was sent")
        return memoryview(self.pending + body if self.pending else body)


class Door:
    """Makes connections of what the listener accepts. ``tls`` is None where peers speak without."""

    def __init__(self, tls: PeerTls | None) -> None:
        self._tls = tls
        self._context = tls.server() if tls is not None else None

    def renew(self) -> None:
        """Takes what has become of the certificate; reads files, so it is for another thread than the
        listener's.
        """
        if self._tls is not None:
            self._context = self._tls.server()

    def open(self, sock: socket.socket, address: str) -> UploadConnection:
        """Raises OSError: it has gone already."""
        if self._context is None:
            return UploadConnection(sock, address)
        secure = self._context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
        return SecureConnection(secure, address)

    def admit(self, connection: UploadConnection) -> int:
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

    def late(self, connection: UploadConnection) -> None:
        """It has taken too long for its handshake."""
        assert self._tls is not None
        self._tls.refusals.note(connection.address, "timeout", f"no handshake within {HANDSHAKE_SECONDS:g} s")
