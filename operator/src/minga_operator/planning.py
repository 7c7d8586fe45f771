"""What to do now about replicas, rollouts and images. Pure: from the network and what there is to a Plan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from minga_operator import kept_template
from minga_operator.errors import KindMissing
from minga_operator.kinds import HTTP_ROUTE
from minga_operator.network import RUNBOOKS, Credentials, Network, Plan, Tokens
from minga_operator.resources import amqp, common, workload
from minga_operator.resources.common import Object


@dataclass(frozen=True)
class Settings:
    """How this operator was started."""

    node_image: str
    broker_image: str
    namespaces: tuple[str, ...] = ()
    """Namespaces that are watched; none for all."""
    workers: int = 4
    """Networks reconciled at once."""
    runbooks: str = RUNBOOKS
    """What the address of every runbook begins with."""


@dataclass(frozen=True)
class Existing:
    """The workloads there are, or None."""

    seeds: Object | None = None
    peers: Object | None = None
    daemons: Object | None = None
    """The peers' DaemonSet."""
    broker: Object | None = None

    def of(self, kind: str, component: str) -> Object | None:
        """One of the nodes' workloads."""
        if kind == "DaemonSet":
            return self.daemons
        return self.seeds if component == common.SEED else self.peers

    def workloads(self, network: Network) -> dict[str, Object | None]:
        """Those that the spec still asks for, by component."""
        spec = network.spec
        found = {
            common.SEED: self.seeds,
            common.PEER: self.daemons if spec.peers.mode == "DaemonSet" else self.peers,
        }
        return found | ({common.BROKER: self.broker} if spec.broker.managed else {})


def plan(
    network: Network,
    settings: Settings,
    existing: Existing,
    *,
    credentials: Credentials | None,
    broker_digest: str | None,
    tokens: Tokens | None = None,
    kinds: frozenset[str],
    keep: Mapping[str, int] | None = None,
) -> Plan:
    """Decides.

    Args:
        broker_digest: digest of the AMQP URI; None when it cannot be read now, then the pods keep theirs.
        keep: by component, so many pods must stay for now, because some of them are draining.
    """
    spec, status = network.spec, network.status
    managed = spec.broker.managed
    keep = keep or {}
    chosen = managed.image if managed else ""
    default_image = _default(status, "defaultImage", "image", spec.image.reference) or settings.node_image
    default_broker = _default(status, "defaultBrokerImage", "brokerImage", chosen) or settings.broker_image
    found = Plan(
        node_image=spec.image.reference or default_image,
        broker_image=chosen or default_broker,
        default_image=default_image,
        default_broker_image=default_broker,
        credentials=credentials,
        broker_digest=amqp.kept_digest(existing.seeds) if broker_digest is None else broker_digest,
        tokens=tokens,
        seed_replicas=max(spec.seeds.replicas, keep.get(common.SEED, 0)),
        peer_replicas=max(spec.peers.replicas, keep.get(common.PEER, 0)),
        kinds=kinds,
        runbooks=settings.runbooks,
    )
    nodes = (existing.seeds, existing.peers, existing.daemons)
    if any(amqp.in_environment(live, found.node_image) for live in nodes):
        found = replace(found, by_environment=True)
    found = replace(found, held=kept_template.held(network, found, existing.workloads(network)))
    if common.SEED in keep and _to_roll(existing.seeds, workload.seeds(network, found)):
        found = replace(found, seed_partition=found.seed_replicas)
    return replace(found, peer_partition=_peer_partition(network, found, existing, common.PEER in keep))


def _default(status: Mapping[str, object], remembered: str, used: str, chosen: str) -> str:
    """The image that stands where the spec names none: the one that was the default when it was made.

    An earlier operator remembered only the image in use, which was the default unless the spec names one.
    """
    return str(status.get(remembered) or ("" if chosen else status.get(used)) or "")


def lacking(network: Network, kinds: frozenset[str]) -> KindMissing | None:
    """Why a part of the spec cannot be here: it asks for an object of a kind that the cluster lacks."""
    if network.spec.gateway is None or HTTP_ROUTE.name in kinds:
        return None
    kind = f"{HTTP_ROUTE.name} of {HTTP_ROUTE.api_version}"
    return KindMissing(f"spec.gateway needs the Gateway API: this Kubernetes has no {kind}")


def rolled_out(live: Mapping[str, object] | None) -> bool:
    """Whether every pod of a StatefulSet runs its newest template and is ready."""
    if live is None:
        return False
    spec, status, metadata = _part(live, "spec"), _part(live, "status"), _part(live, "metadata")
    wanted = spec.get("replicas", 1)
    return bool(
        status.get("observedGeneration", 0) >= metadata.get("generation", 0)
        and status.get("updatedReplicas", 0) >= wanted
        and status.get("readyReplicas", 0) >= wanted
    )


def _to_roll(live: Object | None, wanted: Object) -> bool:
    """Whether pods of a StatefulSet are still to be replaced. While some of them drain, none is.

    A rollout goes from the top, so it would begin with those that leave, and end what they are doing.
    """
    if live is None:
        return False
    state = live.get("status") or {}
    return bool(
        _template(live) != _template(wanted)
        or state.get("currentRevision") != state.get("updateRevision")
        or _held_at(live) > 0
    )


def _held_at(live: Object) -> int:
    strategy = live["spec"].get("updateStrategy", {}).get("rollingUpdate") or {}
    return int(strategy.get("partition", 0))


def _peer_partition(network: Network, found: Plan, existing: Existing, draining: bool) -> int:
    """Holds the peers' rollout until all seeds have theirs: two at once could cut newcomers off."""
    if existing.peers is None or existing.seeds is None or network.spec.peers.mode == "DaemonSet":
        return 0
    if not (existing.peers.get("status") or {}).get("replicas", 0):
        # Nobody is replaced. Pods that were refused could never be made of a corrected template otherwise.
        return 0
    if draining and _to_roll(existing.peers, workload.peers(network, found)):
        return found.peer_replicas
    if _template(existing.seeds) == _template(workload.seeds(network, found)) and rolled_out(existing.seeds):
        return 0
    if _template(existing.peers) != _template(workload.peers(network, found)):
        return found.peer_replicas
    return found.peer_replicas if _held_at(existing.peers) > 0 else 0


def _template(item: Object) -> str:
    return str((item["metadata"].get("annotations") or {}).get(workload.TEMPLATE_DIGEST, ""))


def _part(item: Mapping[str, object], name: str) -> Object:
    found = item.get(name)
    return found if isinstance(found, dict) else {}
