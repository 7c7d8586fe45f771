"""How channels to other nodes begin: plain, or by mutual TLS with the certificate that is good now."""

from __future__ import annotations

from collections.abc import Sequence

import grpc
import grpc.aio

from minga_node.peer_tls import PeerTls

Options = Sequence[tuple[str, int | str]]


class ChannelCredentials:
    """``tls`` is None where peers speak without."""

    def __init__(self, tls: PeerTls | None) -> None:
        self._tls = tls

    @property
    def version(self) -> int:
        """Differs once channels should be made anew."""
        return self._tls.current()[0] if self._tls else 0

    def explain(self, target: str) -> str | None:
        """Why ``host:port`` refuses this node or the other way round, as far as TLS is why."""
        host, _, port = target.rpartition(":")
        return self._tls.explain(host.strip("[]"), int(port)) if self._tls else None

    def channel(self, target: str, options: Options) -> grpc.Channel:
        """A new channel for blocking calls."""
        if self._tls is None:
            return grpc.insecure_channel(target, options=options)
        return grpc.secure_channel(target, _credentials(self._tls), options=_named(self._tls, options))

    def aio_channel(self, target: str, options: Options) -> grpc.aio.Channel:
        """A new channel for the loop of streams."""
        if self._tls is None:
            return grpc.aio.insecure_channel(target, options=options)
        return grpc.aio.secure_channel(target, _credentials(self._tls), options=_named(self._tls, options))


def _credentials(tls: PeerTls) -> grpc.ChannelCredentials:
    _, found = tls.current()
    return grpc.ssl_channel_credentials(found.authorities, found.key, found.certificate)


def _named(tls: PeerTls, options: Options) -> list[tuple[str, int | str]]:
    """The other's certificate must be for the network's name, whatever its address."""
    return [*options, ("grpc.ssl_target_name_override", tls.name)]
