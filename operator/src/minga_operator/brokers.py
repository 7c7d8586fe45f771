"""Where the broker's AMQP URI comes from: a Secret of ours, one of somebody else's, or a RabbitmqCluster."""

from __future__ import annotations

import hashlib
import secrets
from base64 import b64decode
from dataclasses import dataclass

from minga_operator import metrics
from minga_operator.cache import Cache
from minga_operator.children import Children
from minga_operator.errors import KindMissing, MissingCluster, MissingSecret, OperatorError, Unavailable
from minga_operator.kinds import RABBITMQ_CLUSTER, SECRET
from minga_operator.kube import Conflict, Kube
from minga_operator.network import Credentials, Network
from minga_operator.resources import amqp, broker, common
from minga_operator.resources.common import Object


@dataclass(frozen=True)
class Found:
    """What is known of a network's broker."""

    credentials: Credentials | None = None
    """Of a managed one."""
    digest: str | None = None
    """Of the URI; None when it cannot be read now."""
    error: OperatorError | None = None
    """Why what others should have made is of no use."""


class Brokers:
    """Reads Secrets, and makes one for each managed broker."""

    def __init__(self, kube: Kube, cache: Cache, children: Children) -> None:
        self._kube, self._cache, self._children = kube, cache, children

    def find(self, network: Network) -> Found:
        """The broker as it is now.

        Raises:
            MissingSecret: the Secret of a managed broker lacks a key.
            NameTaken: the Secret that a managed broker needs is somebody else's.
            Unavailable: not now.
        """
        if network.spec.broker.managed is not None:
            return _managed(self._own(network))
        if lacking := self._lacking(network):
            return Found(error=lacking)
        name, field = amqp.secret(network)
        secret = self._kube.find(SECRET, network.namespace, name)
        uri = _decoded(secret).get(field, "") if secret else ""
        if uri.startswith(("amqp://", "amqps://")):
            return Found(digest=_digest(uri))
        missing = f"its key {field} holds no AMQP URI" if secret else "it does not exist"
        return Found(error=MissingSecret(f"Secret {name} is needed for the broker, and {missing}"))

    def look(self, network: Network) -> tuple[Found, bool]:
        """The same without a write, and whether the credentials would have to be made.

        Raises:
            MissingSecret, Unavailable: not now.
        """
        if network.spec.broker.managed is None:
            return self.find(network), False
        name = common.credentials_name(network)
        found = self._cache.get(SECRET, network.key, name)
        if found is None:
            return Found(Credentials("", "", "")), True
        return _managed(found), False

    def _lacking(self, network: Network) -> OperatorError | None:
        """Why there cannot be a Secret of a RabbitmqCluster."""
        wanted = network.spec.broker.cluster
        if wanted is None or self._kube.find(RABBITMQ_CLUSTER, network.namespace, wanted.name):
            return None
        if self._kube.knows(RABBITMQ_CLUSTER):
            return MissingCluster(f"RabbitmqCluster {wanted.name} does not exist")
        return KindMissing(
            "spec.broker.cluster needs the RabbitMQ cluster operator: this Kubernetes has no RabbitmqCluster"
        )

    def _own(self, network: Network) -> Object:
        name = common.credentials_name(network)
        found = self._children.made_once(network, SECRET, name)
        if found is not None:
            return found
        made = Credentials("minga", secrets.token_urlsafe(24), secrets.token_hex(20))
        try:
            found = self._kube.create(SECRET, broker.new_credentials(network, made))
        except Conflict as conflict:
            raise Unavailable(f"Secret {name} has just been made: {conflict}") from conflict
        metrics.WRITES.labels("Secret", "create").inc()
        self._cache.put(found)
        return found


def _managed(secret: Object) -> Found:
    """What the Secret of a managed broker says.

    Raises:
        MissingSecret: somebody took a key out of it.
    """
    data = _decoded(secret)
    if lacking := [key for key in ("username", "password", "cookie", "uri") if not data.get(key)]:
        name = secret["metadata"]["name"]
        raise MissingSecret(f"Secret {name} is needed for the broker, and has no key {', '.join(lacking)}")
    return Found(Credentials(data["username"], data["password"], data["cookie"]), _digest(data["uri"]))


def _decoded(secret: Object) -> dict[str, str]:
    data = secret.get("data") or {}
    return {key: b64decode(value).decode(errors="replace") for key, value in data.items()}


def _digest(uri: str) -> str:
    return hashlib.sha256(uri.encode()).hexdigest()[:16]
