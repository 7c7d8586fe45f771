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
    keep: Storage | None = None
    """The storage that stays, because it cannot become what the spec asks for."""
    why: str = ""


def decide(storage: Storage, workload: Object | None, claims: Sequence[Object]) -> Resize:
    """Compares a StatefulSet's claims with the spec.

    The API server refuses another kind of storage; a network that was changed under an earlier definition,
    which did not, keeps what it has: its pods would else roll onto empty disks, and leave claims behind.
    """
    if workload is None:
        return Resize()
    templates = workload["spec"].get("volumeClaimTemplates") or []
    if storage.ephemeral != (not templates):
        size = _request(templates[0]) if templates else storage.size
        kept = Storage(size=size, storage_class_name=_class(templates), ephemeral=not templates)
        now = "are volumes" if templates else "are ephemeral"
        return Resize(keep=kept, why=f"{now} and cannot become {'ephemeral' if templates else 'volumes'}")
    if not templates:
        return Resize()
    wanted, now = quantity(storage.size), str(_request(templates[0]))
    if storage.storage_class_name != _class(templates):
        kept = storage.model_copy(update={"size": now, "storage_class_name": _class(templates)})
        of = [name or "the default" for name in (_class(templates), storage.storage_class_name)]
        return Resize(keep=kept, why=f"are of the class {of[0]} and cannot become {of[1]}")
    if wanted < quantity(now):
        kept = storage.model_copy(update={"size": now})
        return Resize(keep=kept, why=f"have {now} and cannot shrink to {storage.size}")
    prefix = f"{VOLUME}-{workload['metadata']['name']}-"
    small = [
        claim["metadata"]["name"]
        for claim in claims
        if claim["metadata"]["name"].startswith(prefix) and quantity(_request(claim)) < wanted
    ]
    return Resize(tuple(small), str(storage.size))


def _class(templates: Sequence[Object]) -> str | None:
    found = templates[0]["spec"].get("storageClassName") if templates else None
    return None if found is None else str(found)


def present(workload: Object | None) -> str:
    """The size that a StatefulSet's claims were made with."""
    assert workload is not None
    return _request(workload["spec"]["volumeClaimTemplates"][0])


def keeping(network: Network, component: str, storage: Storage) -> Network:
    """The network as if the spec asked for that storage: all the rest of it still holds."""
    spec = network.spec
    if component == common.BROKER:
        managed = spec.broker.managed
        assert managed is not None
        broker = spec.broker.model_copy(update={"managed": managed.model_copy(update={"storage": storage})})
        return replace(network, spec=spec.model_copy(update={"broker": broker}))
    field = f"{component}s"
    group = getattr(spec, field).model_copy(update={"storage": storage})
    return replace(network, spec=spec.model_copy(update={field: group}))


def _request(claim: Object) -> str:
    return str(claim["spec"]["resources"]["requests"]["storage"])
