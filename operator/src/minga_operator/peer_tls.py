"""Where the certificates of a network's nodes come from: Secrets of ours, or one of somebody else's."""

from __future__ import annotations

import datetime
from base64 import b64decode

from minga_operator import certificates
from minga_operator.certificates import Bundle, Pair
from minga_operator.children import Children
from minga_operator.errors import MissingSecret
from minga_operator.kinds import SECRET
from minga_operator.kube import Kube
from minga_operator.network import Network
from minga_operator.resources import common, peer_tls
from minga_operator.resources.common import Object


class CertificateSecrets:
    """Looks after the Secrets that nodes mount. What is in them goes nowhere else."""

    def __init__(self, kube: Kube, children: Children) -> None:
        self._kube, self._children = kube, children

    def ensure(self, network: Network, now: datetime.datetime) -> int:
        """Makes and renews what is ours; returns how many writes that took.

        Raises:
            MissingSecret: what the spec names is not there, or no use: no pod may be made that cannot start.
            NameTaken: a Secret that managed certificates need is somebody else's.
            Unavailable: not now.
        """
        name = peer_tls.secret_name(network)
        if name is None:
            return 0
        if network.spec.peer_tls.certificates == "Secret":
            self._check(network, name)
            return 0
        writes, authority = self._authority(network, now)
        shared = certificates.shared_name(peer_tls.network_name(network))
        found = self._own(network, name)
        before = _bundle(found) if found else None
        wanted = certificates.bundle(authority, before, shared, now)
        return writes + self._write(network, name, found, peer_tls.values(wanted), before != wanted)

    def _authority(self, network: Network, now: datetime.datetime) -> tuple[int, Pair]:
        name = common.authority_name(network)
        found = self._own(network, name)
        if found is not None:
            known = _pair(found)
            if certificates.usable_authority(known, now):
                return 0, known
        made = certificates.new_authority(peer_tls.network_name(network), now)
        return self._write(network, name, found, peer_tls.pair(made), True), made

    def _check(self, network: Network, name: str) -> None:
        found = self._kube.find(SECRET, network.namespace, name)
        if found is None:
            raise MissingSecret(f"Secret {name} is needed for spec.peerTls, and it does not exist")
        data = found.get("data") or {}
        lacking = [key for key in peer_tls.KEYS if not data.get(key)]
        if lacking:
            raise MissingSecret(
                f"Secret {name} is needed for spec.peerTls, and it has no key {' and no key '.join(lacking)}"
            )
        shared = certificates.shared_name(peer_tls.network_name(network))
        if wrong := certificates.problem(_bundle(found), shared):
            raise MissingSecret(f"Secret {name} is needed for spec.peerTls, and {wrong}")

    def _own(self, network: Network, name: str) -> Object | None:
        return self._children.made_once(network, SECRET, name)

    def _write(
        self, network: Network, name: str, found: Object | None, data: dict[str, str], needed: bool
    ) -> int:
        if needed:
            self._children.save(SECRET, found, peer_tls.secret(network, name, data))
        return int(needed)


def _bundle(secret: Object) -> Bundle:
    return Bundle(_pair(secret), _value(secret, peer_tls.AUTHORITIES))


def _pair(secret: Object) -> Pair:
    return Pair(_value(secret, peer_tls.CERTIFICATE), _value(secret, peer_tls.KEY))


def _value(secret: Object, key: str) -> str:
    return b64decode((secret.get("data") or {}).get(key, "")).decode(errors="replace")
