"""Asks a seed's REST who it is: that is where newcomers learn the address of its gRPC."""

from __future__ import annotations

import json
from dataclasses import dataclass

import urllib3

from minga_node.errors import OtherTls, PeerMisbehaved, PeerUnreachable
from minga_node.model import Peer

MOST_BYTES = 64 * 1024
"""Bytes of a seed's answer that are read, at most."""
_TIMEOUT = urllib3.Timeout(connect=2.0, read=3.0)


@dataclass(frozen=True, slots=True)
class FoundSeed:
    """Who serves REST at an address."""

    peer: Peer
    remote: str | None
    """The address that the connection went to."""


class SeedLookup:
    """``protected`` tells whether this node meets others by TLS alone.

    What REST says of that is for a clear word to people alone: nobody is let in, or trusted, because of it.
    """

    def __init__(self, *, protected: bool = False) -> None:
        self._protected = protected
        self._pool = urllib3.PoolManager(retries=False, timeout=_TIMEOUT)

    def ask(self, url: str) -> FoundSeed:
        """Who serves REST at a URL.

        Raises:
            PeerUnreachable, PeerMisbehaved
        """
        try:
            answer = self._pool.request("GET", f"{url.rstrip('/')}/api/v1/node", preload_content=False)
            try:
                remote = _other_end(answer)
                data = answer.read(MOST_BYTES)
            finally:
                answer.close()
        except (urllib3.exceptions.HTTPError, UnicodeError) as error:
            raise PeerUnreachable(f"{url} does not answer ({type(error).__name__})") from error
        if answer.status != 200:
            raise PeerUnreachable(f"{url} answers with status {answer.status}")
        try:
            said = json.loads(data)
            other_protected = said.get("peer_tls") is True
            found = Peer(
                id=str(said["id"]),
                epoch=int(said["epoch"]),
                host=str(said["host"]),
                rest_port=int(said["rest_port"]),
                grpc_port=int(said["grpc_port"]),
                data_port=int(said["data_port"]),
                seed=bool(said.get("seed", False)),
                version=str(said.get("version", "")),
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise PeerMisbehaved(f"{url} is not a node of Minga") from error
        if other_protected and not self._protected:
            raise OtherTls(
                f"{url} meets only peers that have a certificate: peer_tls_directory is not set here"
            )
        if self._protected and not other_protected:
            raise OtherTls(f"{url} does not meet peers by TLS, as peer_tls_directory asks for here")
        return FoundSeed(found, remote)

    def close(self) -> None:
        self._pool.clear()


def _other_end(answer: urllib3.BaseHTTPResponse) -> str | None:
    connection = answer.connection
    sock = getattr(connection, "sock", None)
    try:
        return str(sock.getpeername()[0]) if sock is not None else None
    except OSError:
        return None
