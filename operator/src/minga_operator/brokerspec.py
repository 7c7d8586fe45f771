"""The message broker, as the spec of a P2PNetwork says it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from minga_operator.fields import Model, Name, rule, rules
from minga_operator.podspec import Placement, Storage


class ManagedBroker(Placement):
    """A RabbitMQ that the operator runs."""

    replicas: Literal[1, 3] = Field(
        1,
        description="1, or 3 for a cluster that outlives a member",
        json_schema_extra={"type": "integer", "enum": [1, 3]},
    )
    image: str = Field("", max_length=512, description="Image; empty for the operator's default")
    credentials_secret_name: Name | None = Field(
        None,
        description="Secret in the network's namespace whose keys `username` and `password` say how nodes log"
        " in; unset: the operator makes a password. A change restarts nobody",
    )
    storage: Storage = Field(
        default_factory=lambda: Storage(size="1Gi"), description="Volume of each broker pod"
    )

    model_config = rules(
        rule(
            "!has(self.replicas) || self.replicas == 1 || !has(self.storage) ||"
            " !has(self.storage.ephemeral) || !self.storage.ephemeral",
            "broker.managed.storage.ephemeral is only for broker.managed.replicas 1:"
            " a member of a cluster that forgets its state cannot come back",
        ),
        rule(
            "!has(self.replicas) || !has(oldSelf.replicas) || self.replicas >= oldSelf.replicas",
            "broker.managed.replicas cannot become less: members would be lost with their queues",
        ),
    )


class ExternalBroker(Model):
    """A RabbitMQ that somebody else runs."""

    secret_name: Name = Field(description="Name of a Secret in the network's namespace")
    key: str = Field(
        "uri",
        pattern=r"^[-._a-zA-Z0-9]{1,253}$",
        description="Key in it that holds the AMQP URI (amqp://user:password@host:5672/vhost)",
    )


class ClusterBroker(Model):
    """A RabbitmqCluster of the RabbitMQ cluster operator."""

    name: Name = Field(description="Name of a RabbitmqCluster in the network's namespace")


class Broker(Model):
    """The message broker: exactly one of the three; absent, a managed one."""

    managed: ManagedBroker | None = Field(None, description="Run a RabbitMQ for this network")
    external: ExternalBroker | None = Field(None, description="Use the RabbitMQ whose URI a Secret holds")
    cluster: ClusterBroker | None = Field(None, description="Use a RabbitmqCluster")

    model_config = rules(
        rule(
            "[has(self.managed), has(self.external), has(self.cluster)].filter(x, x).size() == 1",
            "broker: set exactly one of broker.managed, broker.external and broker.cluster; an earlier"
            " version of this definition filled in broker.managed: set that to null once",
        )
    )


def usual(path: str) -> str:
    """CEL: a managed broker's storage is of the kind that it has by default."""
    storage = f"{path}.storage"
    return (
        f"(!has({storage}) || (!has({storage}.storageClassName) &&"
        f" (!has({storage}.ephemeral) || !{storage}.ephemeral)))"
    )
