"""Certificates by which nodes know each other: their Secrets, and how nodes see them."""

from __future__ import annotations

from minga_operator.certificates import Bundle, Pair
from minga_operator.network import Network
from minga_operator.resources import common
from minga_operator.resources.common import Object

CERTIFICATE, KEY, AUTHORITIES = "tls.crt", "tls.key", "ca.crt"
KEYS = (CERTIFICATE, KEY, AUTHORITIES)
"""Keys of a Secret of type ``kubernetes.io/tls``, and the names of the files that a node reads."""
DIRECTORY = "/etc/minga-peer-tls"
VOLUME = "peer-tls"


def network_name(network: Network) -> str:
    """The network's name as its nodes know it."""
    return f"{network.namespace}.{network.name}"


def secret_name(network: Network) -> str | None:
    """The Secret with the certificate of the nodes; None where peers speak without TLS."""
    wanted = network.spec.peer_tls
    return {"Managed": common.certificate_name(network), "Secret": wanted.secret_name}.get(
        wanted.certificates
    )


def pair(found: Pair) -> dict[str, str]:
    """Values of a Secret."""
    return {CERTIFICATE: common.base64(found.certificate), KEY: common.base64(found.key)}


def values(found: Bundle) -> dict[str, str]:
    """Values of the Secret that nodes mount."""
    return {**pair(found.own), AUTHORITIES: common.base64(found.authorities)}


def secret(network: Network, name: str, data: dict[str, str]) -> Object:
    """A Secret that is never applied again, only renewed."""
    return common.make(network, "v1", "Secret", name, type="kubernetes.io/tls", data=data)


def settings(network: Network) -> Object:
    """Keys of a node's configuration."""
    return {} if secret_name(network) is None else {"peer_tls_directory": DIRECTORY}


def volumes(network: Network) -> list[Object]:
    """Volumes of a pod. Nodes follow renewals: no digest of the Secret is in the template."""
    name = secret_name(network)
    if name is None:
        return []
    items = [{"key": key, "path": key} for key in KEYS]
    return [{"name": VOLUME, "secret": {"secretName": name, "defaultMode": 0o440, "items": items}}]


def mounts(network: Network) -> list[Object]:
    """Where a node's container has them."""
    if secret_name(network) is None:
        return []
    return [{"name": VOLUME, "mountPath": DIRECTORY, "readOnly": True}]
