"""Whether volumes can become what the spec says. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from minga_operator.network import Network, quantity
from minga_operator.podspec import Storage
from minga_operator.resources import common
from minga_operator.resources.common import Object
from minga_operator.resources.storage import VOLUME


@dataclass(frozen=True)
class Resize:
    """What to do about one group's volumes."""

    grow: tuple[str, ...] = ()
    """Claims whose request is to be raised."""
    size: str = ""
    keep: str = ""
    """The size that stays, because the spec asks for less."""


def decide(storage: Storage, workload: Object | None, claims: Sequence[Object]) -> Resize:
    """Compares a StatefulSet's claims with the spec."""
    templates = (workload or {}).get("spec", {}).get("volumeClaimTemplates") or []
    if storage.ephemeral or workload is None or not templates:
        return Resize()
    wanted, now = quantity(storage.size), str(_request(templates[0]))
    if wanted < quantity(now):
        return Resize(keep=now)
    prefix = f"{VOLUME}-{workload['metadata']['name']}-"
    small = [
        claim["metadata"]["name"]
        for claim in claims
        if claim["metadata"]["name"].startswith(prefix) and quantity(_request(claim)) < wanted
    ]
    return Resize(tuple(small), str(storage.size))


def present(workload: Object | None) -> str:
    """The size that a StatefulSet's claims were made with."""
    assert workload is not None
    return _request(workload["spec"]["volumeClaimTemplates"][0])


def keeping(network: Network, component: str, size: str) -> Network:
    """The network as if the spec asked for that size: all the rest of it still holds."""
    spec = network.spec
    if component == common.BROKER:
        managed = spec.broker.managed
        assert managed is not None
        storage = managed.storage.model_copy(update={"size": size})
        broker = spec.broker.model_copy(update={"managed": managed.model_copy(update={"storage": storage})})
        return replace(network, spec=spec.model_copy(update={"broker": broker}))
    field = f"{component}s"
    group = getattr(spec, field)
    storage = group.storage.model_copy(update={"size": size})
    return replace(
        network, spec=spec.model_copy(update={field: group.model_copy(update={"storage": storage})})
    )


def _request(claim: Object) -> str:
    return str(claim["spec"]["resources"]["requests"]["storage"])
