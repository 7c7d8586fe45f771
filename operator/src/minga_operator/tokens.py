"""Where the tokens for REST come from: a Secret of ours that is made once, or one of somebody else's."""

from __future__ import annotations

import re
import secrets
from base64 import b64decode

from minga_operator.cache import Cache
from minga_operator.children import Children
from minga_operator.errors import MissingSecret
from minga_operator.kinds import SECRET
from minga_operator.kube import Kube
from minga_operator.network import Network, Tokens
from minga_operator.resources import access, common
from minga_operator.resources.common import Object

_TOKEN = re.compile(r"(?=.{20,512}$)[A-Za-z0-9._~+/-]+=*")
"""What nodes take as one."""


class TokenSecrets:
    """Reads Secrets, and makes one for each network with managed tokens."""

    def __init__(self, kube: Kube, cache: Cache, children: Children) -> None:
        self._kube, self._cache, self._children = kube, cache, children

    def find(self, network: Network) -> Tokens | None:
        """The tokens as they are now; None where REST is open.

        Raises:
            MissingSecret: there are none where there should be: no pod may be made that would not start.
            NameTaken: the Secret that managed tokens need is somebody else's.
            Unavailable: not now.
        """
        name = access.secret_name(network)
        if name is None:
            return None
        if network.spec.access.tokens == "Managed":
            read, write = (_first(self._own(network), key) for key in access.KEYS)
            return Tokens(read, write)
        secret = self._kube.find(SECRET, network.namespace, name)
        if secret is None:
            raise MissingSecret(f"Secret {name} is needed for spec.access, and it does not exist")
        read, write = (_first(secret, key) for key in access.KEYS)
        if not write:
            raise MissingSecret(
                f"Secret {name} is needed for spec.access, and its key {access.WRITE} does not begin with a"
                " token: 20 to 512 letters, digits and ._~+/- in a line"
            )
        return Tokens(read, write)

    def look(self, network: Network) -> tuple[Tokens | None, bool]:
        """The same without a write, and whether the Secret would have to be made or completed.

        Raises:
            MissingSecret, Unavailable
        """
        if network.spec.access.tokens != "Managed":
            return self.find(network), False
        found = self._cache.get(SECRET, network.key, common.tokens_name(network)) or {}
        read, write = (_first(found, key) for key in access.KEYS)
        return Tokens(read, write), not (read and write)

    def _own(self, network: Network) -> Object:
        """What a person put in place of a token stays; what is none is made anew."""
        found = self._children.made_once(network, SECRET, common.tokens_name(network))
        lacking = [key for key in access.KEYS if not _first(found or {}, key)]
        if found is not None and not lacking:
            return found
        wanted = access.new_tokens(network, Tokens(_new(), _new()))
        if found is not None:
            wanted["data"] = {key: wanted["data"][key] for key in lacking}
        return self._children.save(SECRET, found, wanted)


def _new() -> str:
    return secrets.token_urlsafe(32)


def _first(secret: Object, key: str) -> str:
    """The first token under a key, which is what others are told; empty where a node would find none."""
    text = b64decode((secret.get("data") or {}).get(key, "")).decode(errors="replace")
    lines = [line.strip() for line in text.splitlines()]
    tokens = [line for line in lines if line and not line.startswith("#")]
    return tokens[0] if tokens and _TOKEN.fullmatch(tokens[0]) else ""
