"""What the builders are given: the network as its resource says, and what the reconciler found or decided."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from pydantic import ValidationError

from minga_operator.crd import GROUP
from minga_operator.errors import InvalidSpec
from minga_operator.model import Spec

RESTARTED_AT = f"{GROUP}/restartedAt"
"""On a network, a request for a restart, as `kubectl rollout restart` makes one; on pods, when it was."""

ROTATE_AT = f"{GROUP}/rotateBrokerPassword"
"""On a network, a request for another password; on the Secret that has it, the request that it answers."""

_QUANTITY = re.compile(r"(?P<number>[0-9]+(\.[0-9]+)?)(?P<suffix>m|k|[KMGTPE]i|[MGTPE])?")
_SUFFIXES = {"m": Decimal("0.001"), "": Decimal(1), "k": Decimal(1000), "Ki": Decimal(1024)}
for _power, _letter in enumerate("MGTPE", start=2):
    _SUFFIXES[_letter] = Decimal(1000) ** _power
    _SUFFIXES[f"{_letter}i"] = Decimal(1024) ** _power


@dataclass(frozen=True)
class Network:
    """One P2PNetwork."""

    name: str
    namespace: str
    uid: str
    generation: int
    spec: Spec
    restarted_at: str = ""
    """The annotation by which a user asks for a restart; any other value is another restart."""
    rotate_at: str = ""
    """The annotation by which a user asks for another password of the broker; likewise."""
    status: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> tuple[str, str]:
        """(namespace, name)."""
        return self.namespace, self.name


@dataclass(frozen=True)
class Credentials:
    """How nodes log in at the managed broker, and its members know each other."""

    username: str
    password: str = field(repr=False)
    cookie: str = field(repr=False)
    retired: tuple[str, ...] = ()
    """Former users, which the broker is to forget."""


@dataclass(frozen=True)
class Tokens:
    """What REST takes: the first of each kind. Empty: there is none of that kind."""

    read: str = field(repr=False)
    write: str = field(repr=False)


@dataclass(frozen=True)
class Rendering:
    """What pods are made of."""

    template: dict[str, Any]
    files: dict[str, Any]
    """The configuration that they read when they start, but for what they need not know when they run."""


@dataclass(frozen=True)
class Held:
    """A rendering that stays, though this operator might render otherwise."""

    rendering: Rendering
    text: str = field(repr=False)
    """The memory of it, to be kept as it is."""
    operator: str
    """The version that rendered it; empty when unknown."""
    outdated: bool
    """Whether this operator would indeed render otherwise."""


RUNBOOKS = "https://minga.dev/runbooks/"
"""Where the runbooks are, unless the operator was started with another address."""


@dataclass(frozen=True)
class Plan:
    """What the builders need beyond the network itself."""

    node_image: str
    broker_image: str
    default_image: str = ""
    """The nodes' image where the spec names none; remembered apart from the one in use."""
    default_broker_image: str = ""
    """Likewise."""
    credentials: Credentials | None = None
    """Set for a managed broker."""
    tokens: Tokens | None = None
    """Set where REST asks for tokens."""
    broker_digest: str = ""
    """Digest of the AMQP URI, for nodes that have it in their environment: another one restarts them."""
    by_environment: bool = False
    """Whether they do: those of an image that may not know the file."""
    seed_replicas: int = 1
    peer_replicas: int = 3
    """Replicas now: more than the spec asks for while some are draining."""
    seed_partition: int = 0
    """Seeds from this ordinal on take a new template; the others keep theirs."""
    peer_partition: int = 0
    """Likewise."""
    kinds: frozenset[str] = frozenset()
    """Optional kinds that the cluster knows, such as PodMonitor."""
    runbooks: str = RUNBOOKS
    """What the address of every runbook begins with, in alerts and dashboards."""
    held: Mapping[str, Held] = field(default_factory=dict)
    """What keeps an earlier rendering, by component."""


def parse(body: Mapping[str, Any]) -> Network:
    """Reads a P2PNetwork as the API server gives it.

    Raises:
        InvalidSpec: the spec was stored by another version of the CRD; one line names the field.
    """
    metadata = body["metadata"]
    try:
        spec = Spec.model_validate(body.get("spec") or {})
    except ValidationError as error:
        first = error.errors()[0]
        path = ".".join(str(part) for part in ("spec", *first["loc"]))
        raise InvalidSpec(f"{path}: {first['msg']}") from None
    return Network(
        name=metadata["name"],
        namespace=metadata["namespace"],
        uid=metadata["uid"],
        generation=metadata.get("generation", 0),
        spec=spec,
        restarted_at=str((metadata.get("annotations") or {}).get(RESTARTED_AT, "")),
        rotate_at=str((metadata.get("annotations") or {}).get(ROTATE_AT, "")),
        status=body.get("status") or {},
    )


def quantity(value: str | int) -> int:
    """A Kubernetes quantity as a whole number of units, rounded up.

    Raises:
        ValueError: it is not a quantity.
    """
    found = _QUANTITY.fullmatch(str(value))
    if found is None:
        raise ValueError(f"{value!r} is not a quantity")
    exact = Decimal(found["number"]) * _SUFFIXES[found["suffix"] or ""]
    return int(exact.to_integral_value(rounding="ROUND_CEILING"))
