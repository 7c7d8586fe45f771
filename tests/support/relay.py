"""A wire tap between two nodes on loopback: it sees all bytes of a port, and can cut connections."""

from __future__ import annotations

import contextlib
import socket
import threading


class Relay:
    """Listens on a port of its own and hands everything on to ``port``.

    ``cut_after`` bytes from there, a connection is cut without warning; None lets all through.
    """

    def __init__(self, port: int, cut_after: int | None = None) -> None:
        self._target, self.cut_after = port, cut_after
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.seen = bytearray()
        """The first mebibyte of all that came by, in both directions."""
        self.cuts = 0
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        for sock in (self._listener, *self._open):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
                far = socket.create_connection(("127.0.0.1", self._target), 5)
            except OSError:
                return
            self._open += [near, far]
            for source, sink, most in ((near, far, None), (far, near, self.cut_after)):
                threading.Thread(target=self._copy, args=(source, sink, most), daemon=True).start()

    def _copy(self, source: socket.socket, sink: socket.socket, most: int | None) -> None:
        count = 0
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if len(self.seen) < 2**20:
                    self.seen += data
                sink.sendall(data)
                count += len(data)
                if most is not None and count >= most:
                    self.cuts += 1
                    break
        for sock in (source, sink):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
