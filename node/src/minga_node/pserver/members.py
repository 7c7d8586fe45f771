"""Whom the gRPC server listens to where peers speak TLS: who has a certificate for the network's name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import grpc

from minga_node.certificates import named
from minga_node.peer_tls import PeerTls

CONNECTION_SECONDS = 600.0
"""Calls begin on a connection for so long, and go on for as long again: then lost trust ends it, too."""
_NAMES = "x509_subject_alternative_name"


def credentials(tls: PeerTls) -> grpc.ServerCredentials:
    """Every connection needs a certificate of the authority; renewed files count from the next one on."""
    told, _ = tls.current()

    def renewed() -> Any:  # None, which the stubs do not know, when nothing is new
        nonlocal told
        version, _ = tls.current()
        if version == told:
            return None
        told = version
        return _configuration(tls)

    return grpc.dynamic_ssl_server_credentials(
        _configuration(tls), renewed, require_client_authentication=True
    )


def options() -> list[tuple[str, int]]:
    """Further ones of a server that asks for certificates."""
    age = round(CONNECTION_SECONDS * 1000)
    return [("grpc.max_connection_age_ms", age), ("grpc.max_connection_age_grace_ms", age)]


def _configuration(tls: PeerTls) -> grpc.ServerCertificateConfiguration:
    _, found = tls.current()
    return grpc.ssl_server_certificate_configuration([(found.key, found.certificate)], found.authorities)


class Members:
    """Refuses every call of who has a certificate of the authority for another name: an authority may serve
    more than this network.
    """

    def __init__(self, tls: PeerTls) -> None:
        self._tls = tls

    def refuse(self, about: Mapping[str, Any], peer: str) -> str | None:
        """Why a call is not answered, from what gRPC says of the connection; None: it is a peer's."""
        names = [name.decode(errors="replace") for name in about.get(_NAMES, ())]
        if named(names, self._tls.name):
            return None
        shown = ", ".join(names) or "no name"
        self._tls.refusals.note(
            peer.rpartition(":")[0],
            "name",
            f"its certificate is for {shown}, and this network's are for {self._tls.name}",
        )
        return f"the certificate is not for {self._tls.name}"
