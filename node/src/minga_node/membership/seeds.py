"""Asks a seed's REST who it is: that is where newcomers learn the address of its gRPC."""

from __future__ import annotations

import urllib3

from minga_node.errors import PeerMisbehaved, PeerUnreachable
from minga_node.model import Peer

_TIMEOUT = urllib3.Timeout(connect=2.0, read=3.0)


class Seeds:
    def __init__(self) -> None:
        self._pool = urllib3.PoolManager(retries=False, timeout=_TIMEOUT)

    def ask(self, url: str) -> Peer:
        """Who serves REST at a URL.

        Raises:
            PeerUnreachable, PeerMisbehaved
        """
        try:
            answer = self._pool.request("GET", f"{url.rstrip('/')}/api/v1/node")
        except urllib3.exceptions.HTTPError as error:
            raise PeerUnreachable(f"{url} does not answer ({type(error).__name__})") from error
        if answer.status != 200:
            raise PeerUnreachable(f"{url} answers with status {answer.status}")
        try:
            said = answer.json()
            return Peer(
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

    def close(self) -> None:
        self._pool.clear()
