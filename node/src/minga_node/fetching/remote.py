"""Where a holder listens for pieces, and how a connection to it begins."""

from __future__ import annotations

import socket
from dataclasses import dataclass

from minga_node.errors import PeerUnreachable
from minga_node.peer_tls import PeerTls
from minga_node.refusals import objection

CONNECT_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Remote:
    """One holder. ``tls`` is None where peers speak without."""

    peer_id: str
    host: str
    port: int
    tls: PeerTls | None = None

    def connect(self) -> socket.socket:
        """A connection, by TLS to who has a certificate of the network; its timeout is that of connecting.

        Raises:
            PeerUnreachable: no answer, or it is not of the network.
        """
        try:
            sock = socket.create_connection((self.host, self.port), CONNECT_SECONDS)
            if self.tls is not None:
                sock = self._secured(sock, self.tls)
        except OSError as error:
            raise PeerUnreachable(f"{self.peer_id} does not answer: {objection(error) or error}") from error
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock

    def _secured(self, plain: socket.socket, tls: PeerTls) -> socket.socket:
        try:
            sock = tls.client().wrap_socket(plain)
        except BaseException:
            plain.close()
            raise
        if not tls.admits(sock.getpeercert()):
            sock.close()
            raise PeerUnreachable(f"{self.peer_id} is no peer: its certificate is not for {tls.name}")
        return sock
