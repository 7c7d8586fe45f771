"""Tokens for REST: their Secret, and how nodes see it."""

from __future__ import annotations

from minga_operator.network import Network, Tokens
from minga_operator.resources import common
from minga_operator.resources.common import Object

READ, WRITE = "read", "write"
KEYS = (READ, WRITE)
"""Keys of the Secret, and the names of the files that a node reads."""
DIRECTORY = "/etc/minga-tokens"
VOLUME = "tokens"


def secret_name(network: Network) -> str | None:
    """The Secret with the tokens; None where REST is open."""
    wanted = network.spec.access
    return {"Managed": common.tokens_name(network), "Secret": wanted.secret_name}.get(wanted.tokens)


def new_tokens(network: Network, tokens: Tokens) -> Object:
    """The Secret that is made once: applied never again, so that what is in it stays."""
    data = {READ: common.base64(tokens.read), WRITE: common.base64(tokens.write)}
    return common.make(network, "v1", "Secret", common.tokens_name(network), type="Opaque", data=data)


def settings(network: Network) -> Object:
    """Keys of a node's configuration."""
    if secret_name(network) is None:
        return {}
    return {"tokens_directory": DIRECTORY, "protect_metrics": network.spec.access.protect_metrics}


def volumes(network: Network) -> list[Object]:
    """Volumes of a pod. Nodes follow changes of the Secret: no digest of it is in the template."""
    name = secret_name(network)
    # Readable for the pod's group alone, which is the node's.
    return [{"name": VOLUME, "secret": {"secretName": name, "defaultMode": 0o440}}] if name else []


def mounts(network: Network) -> list[Object]:
    """Where a node's container has them."""
    if secret_name(network) is None:
        return []
    return [{"name": VOLUME, "mountPath": DIRECTORY, "readOnly": True}]


def binding(tokens: Tokens | None) -> dict[str, str]:
    """What an application that is bound to the network gets, by keys of the binding."""
    if tokens is None:
        return {}
    found = {"read-token": tokens.read, "write-token": tokens.write}
    return {key: value for key, value in found.items() if value}


def scrape(network: Network, tokens: Tokens | None) -> Object:
    """What a PodMonitor's endpoint needs to be let in."""
    if not network.spec.access.protect_metrics or tokens is None:
        return {}
    key = "read-token" if tokens.read else "write-token"
    return {"authorization": {"credentials": {"name": common.binding_name(network), "key": key}}}
