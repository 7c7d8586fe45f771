"""Where the broker's AMQP URI comes from: a Secret of ours, one of somebody else's, or a RabbitmqCluster."""

from __future__ import annotations

import hashlib
import secrets
from base64 import b64decode
from dataclasses import dataclass

from minga_operator import credentials
from minga_operator.cache import Cache
from minga_operator.children import Children
from minga_operator.credentials import Login
from minga_operator.errors import (
    CookieLost,
    KindMissing,
    MissingCluster,
    MissingSecret,
    OperatorError,
)
from minga_operator.kinds import POD, RABBITMQ_CLUSTER, SECRET
from minga_operator.kube import Kube
from minga_operator.network import ROTATE_AT, Credentials, Network
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
    changes: bool = False
    """Whether the Secret of the credentials is not as it is to be."""
    news: str = ""
    """What that means to who logs in, for an Event; empty for nothing."""


class Brokers:
    """Reads Secrets, and looks after those of each managed broker."""

    def __init__(self, kube: Kube, cache: Cache, children: Children) -> None:
        self._kube, self._cache, self._children = kube, cache, children

    def find(self, network: Network) -> Found:
        """The broker as it is now.

        Raises:
            NameTaken: a Secret that a managed broker needs is somebody else's.
            MissingSecret: the one with its credentials was never there.
            CookieLost: members run, and their cookie is nowhere else.
            Unavailable: not now.
        """
        if network.spec.broker.managed is not None:
            return self._managed(network, write=True)
        if lacking := self._lacking(network):
            return Found(error=lacking)
        name, field = amqp.secret(network)
        secret = self._kube.find(SECRET, network.namespace, name)
        uri = _decoded(secret).get(field, "")
        if uri.startswith(("amqp://", "amqps://")):
            return Found(digest=_digest(uri))
        missing = f"its key {field} holds no AMQP URI" if secret else "it does not exist"
        return Found(error=MissingSecret(f"Secret {name} is needed for the broker, and {missing}"))

    def look(self, network: Network) -> tuple[Found, bool]:
        """The same without a write, and whether the credentials would have to be made or changed.

        Raises:
            MissingSecret, CookieLost, Unavailable
        """
        if network.spec.broker.managed is None:
            return self.find(network), False
        found = self._managed(network, write=False)
        return found, found.changes

    def _managed(self, network: Network, *, write: bool) -> Found:
        there = self._there(network, common.credentials_name(network), adopt=write)
        before = _decoded(there)
        login, error = self._login(network, there, before)
        # The cookie first: an earlier operator kept it among the credentials.
        cookie = self._cookie(network, before, write=write)
        host = f"{common.broker_name(network)}.{network.namespace}.svc:{common.AMQP_PORT}"
        wanted = credentials.values(host, before, login)
        changes = any(before.get(key) != value for key, value in wanted.items())
        news = ""
        if before.get("uri") != wanted["uri"]:
            news = f"The broker's credentials are {'other ones' if there else 'made'}"
        if write and (changes or (network.rotate_at and _asked(there) != network.rotate_at)):
            self._children.save(SECRET, there, broker.credentials_secret(network, wanted))
        found = Credentials(login.username, login.password, cookie, tuple(wanted["retired"].split("\n")[:-1]))
        return Found(found, _digest(wanted["uri"]), error, changes, news)

    def _login(
        self, network: Network, there: Object | None, before: dict[str, str]
    ) -> tuple[Login, OperatorError | None]:
        """Who is to log in, and what is wrong with the Secret that should say so."""
        managed = network.spec.broker.managed
        name = managed.credentials_secret_name if managed else None
        if name is None:
            rotate = bool(there and network.rotate_at and _asked(there) != network.rotate_at)
            return credentials.own(before, secrets.token_urlsafe(24), rotate=rotate), None
        data = _decoded(self._kube.find(SECRET, network.namespace, name))
        if data.get("username") and data.get("password"):
            return Login(data["username"], data["password"]), None
        missing = "it has no keys username and password" if data else "it does not exist"
        error = MissingSecret(f"Secret {name} is needed for the broker's credentials, and {missing}")
        if not before.get("password"):
            raise error
        return Login(before["username"], before["password"]), error

    def _cookie(self, network: Network, before: dict[str, str], *, write: bool) -> str:
        name = common.cookie_name(network)
        there = self._there(network, name, adopt=write)
        found = _decoded(there).get("cookie", "")
        copies = _decoded(self._there(network, common.broker_name(network), adopt=False)).get("cookie", "")
        pods = self._cache.of(POD, network.key)
        running = any(broker.runs(pod) for pod in pods)
        new = secrets.token_hex(20)
        cookie = credentials.cookie(found, (copies, before.get("cookie", "")), new, running=running)
        if cookie is None:
            raise CookieLost(
                f"Secret {name} is gone, and the broker's members run with the cookie that was in it. They"
                " know each other as long as none restarts. Another one is made when all of them have ended:"
                f" kubectl delete pod -l {common.INSTANCE}={network.name},{common.COMPONENT}={common.BROKER}"
            )
        if write and cookie != found:
            self._children.save(SECRET, there, broker.cookie_secret(network, cookie))
        return cookie

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

    def _there(self, network: Network, name: str, *, adopt: bool) -> Object | None:
        if adopt:
            return self._children.made_once(network, SECRET, name)
        return self._cache.get(SECRET, network.key, name) or self._kube.find(SECRET, network.namespace, name)


def _asked(secret: Object | None) -> str:
    """The request for another password that a Secret is the answer to."""
    return str(((secret or {}).get("metadata", {}).get("annotations") or {}).get(ROTATE_AT, ""))


def _decoded(secret: Object | None) -> dict[str, str]:
    data = (secret or {}).get("data") or {}
    return {key: b64decode(value).decode(errors="replace") for key, value in data.items()}


def _digest(uri: str) -> str:
    return hashlib.sha256(uri.encode()).hexdigest()[:16]
