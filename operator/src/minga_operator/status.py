"""From what there is to the status a user sees. Pure; conditions are positive: True is well."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from minga_operator.draining import seconds_between
from minga_operator.errors import CannotWatch, OperatorError
from minga_operator.network import RESTARTED_AT, Network, Plan
from minga_operator.planning import rolled_out
from minga_operator.resources import common
from minga_operator.resources.common import Object

TYPES = ("Ready", "SeedsReady", "PeersReady", "BrokerReady", "Reconciled", "UpToDate", "NotEvicted", "Paused")
_PLAN_CHARACTERS = 4000
"""Of a paused network's plan: whoever ends the pause wants all of it. A condition takes 32768."""
EVICTION_SECONDS = 3600.0
"""How long an eviction is told of."""
_QUIET = frozenset({"ContainerCreating", "PodInitializing"})
_STATES = {"True": True, "False": False, "Unknown": None}
_WRONG = frozenset({"PodsInTrouble", "SecretMissing", "RabbitmqClusterMissing", "KindMissing"})
"""Reasons that no waiting will mend."""


@dataclass(frozen=True)
class Observed:
    """What there is."""

    seeds: Object | None = None
    peers: Object | None = None
    broker: Object | None = None
    pods: Sequence[Object] = ()
    files: int | None = None
    bytes: int | None = None
    evicted: Sequence[str] = ()
    """Pods that the kubelet evicted of late, and why."""
    pending: Sequence[str] = ()
    """What would be changed if the network were not paused."""
    draining: Mapping[str, str] = field(default_factory=dict)
    """Seeds and peers that are draining, and since when (RFC 3339)."""
    drain_notes: Mapping[str, str] = field(default_factory=dict)
    """What each of them is still needed for."""


@dataclass(frozen=True)
class Verdict:
    """One condition without its times."""

    type: str
    status: bool | None
    """None: unknown."""
    reason: str
    message: str


def status(
    network: Network,
    plan: Plan | None,
    observed: Observed,
    error: OperatorError | None,
    broker_error: OperatorError | None,
    now: str,
) -> Object:
    """The whole status; ``now`` is RFC 3339. Without a plan, only conditions and counts are new."""
    verdicts = _verdicts(network, plan, observed, error, broker_error, now)
    seeds, ready_seeds = _counts(observed.seeds)
    peers, ready_peers = _counts(observed.peers)
    previous = network.status
    if isinstance(error, CannotWatch):
        seeds, ready_seeds = previous.get("seeds", 0), previous.get("readySeeds", 0)
        peers, ready_peers = previous.get("peers", 0), previous.get("readyPeers", 0)
    found: Object = {
        **{
            key: previous[key]
            for key in (
                "image",
                "brokerImage",
                "defaultImage",
                "defaultBrokerImage",
                "version",
                "files",
                "bytes",
            )
            if key in previous
        },
        "conditions": _conditions(network, verdicts, now),
        "phase": _phase(network, verdicts),
        "seeds": seeds,
        "readySeeds": ready_seeds,
        "peers": peers,
        "readyPeers": ready_peers,
        "selector": ",".join(
            f"{key}={value}" for key, value in common.selector(network, common.PEER).items()
        ),
        "broker": _broker_column(network, verdicts),
        "binding": {"name": common.binding_name(network)},
    }
    if (generation := _generation(network)) is not None:
        found["observedGeneration"] = generation
    if plan is not None:
        found["image"] = plan.node_image
        found["version"] = version(plan.node_image)
        found["defaultImage"] = plan.default_image
        if network.spec.broker.managed is not None:
            found["brokerImage"] = plan.broker_image
            found["defaultBrokerImage"] = plan.default_broker_image
    if observed.draining:
        found["draining"] = dict(observed.draining)
    if observed.files is not None and observed.bytes is not None:
        found |= {"files": observed.files, "bytes": observed.bytes}
    return found


def defect(previous: Mapping[str, Any], generation: int, error: OperatorError, now: str) -> Object:
    """What is said when the status itself cannot be told: the conditions of before, but for two."""
    told = {"Ready", "Reconciled"}
    conditions = []
    for type_ in TYPES:
        old: Object = next((item for item in previous.get("conditions") or () if item["type"] == type_), {})
        if type_ in told:
            new = {"type": type_, "status": "False", "reason": error.reason, "message": str(error)}
            since = old.get("lastTransitionTime") if old.get("status") == "False" else None
            conditions.append(new | {"lastTransitionTime": since or now, "observedGeneration": generation})
        elif old:
            conditions.append(dict(old))
    return {"conditions": conditions, "phase": "Degraded", "observedGeneration": generation}


def patch(previous: Mapping[str, Any], wanted: Mapping[str, Any]) -> Object:
    """The merge patch from one status to another; empty when they are equal."""
    found: Object = {key: value for key, value in wanted.items() if previous.get(key) != value}
    for key, value in found.items():
        if isinstance(value, dict):
            gone = set(previous.get(key) or ()) - set(value)
            found[key] = {**value, **dict.fromkeys(gone)}
    return found | dict.fromkeys(previous.keys() - wanted.keys())


def version(image: str) -> str:
    """The tag of an image, or its digest's first digits."""
    name, _, digest = image.partition("@")
    tag = name.rsplit("/", 1)[-1].partition(":")[2]
    return tag or digest.removeprefix("sha256:")[:12] or "latest"


def trouble(pod: Object) -> str:
    """Why a pod does not run, in a few words; empty when nothing is wrong or it has just been made."""
    name, state = pod["metadata"]["name"], pod.get("status") or {}
    for condition in state.get("conditions") or ():
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            return f"{name} cannot be scheduled: {condition.get('message', condition.get('reason', ''))}"
    containers = (*(state.get("initContainerStatuses") or ()), *(state.get("containerStatuses") or ()))
    for container in containers:
        waiting = (container.get("state") or {}).get("waiting")
        if waiting and waiting.get("reason") not in _QUIET:
            ended = (container.get("lastState") or {}).get("terminated") or {}
            detail = waiting.get("message") or ""
            if ended:
                detail = f"exit status {ended.get('exitCode')}; {detail}"
            return f"{name}: {waiting.get('reason')}: {detail}".rstrip(": ")
    return ""


def _verdicts(
    network: Network,
    plan: Plan | None,
    observed: Observed,
    error: OperatorError | None,
    broker_error: OperatorError | None,
    now: str,
) -> list[Verdict]:
    paused = network.spec.paused
    groups = [
        _group("SeedsReady", "seeds", observed.seeds, common.SEED, observed, network.spec.seeds.replicas),
        _group("PeersReady", "peers", observed.peers, common.PEER, observed, network.spec.peers.replicas),
        _broker(network, observed, broker_error),
        _reconciled(network, observed, error),
    ]
    if isinstance(error, CannotWatch):
        blind = [Verdict(verdict.type, None, error.reason, _short(str(error))) for verdict in groups[:-1]]
        groups = [*blind, groups[-1]]
    # What keeps us from acting comes before what is merely not ready yet; that nobody may act comes last.
    wrong = [verdict for verdict in (groups[-1], *groups[:-1]) if verdict.status is False]
    wrong += [verdict for verdict in groups if verdict.status is None]
    ready = Verdict("Ready", True, "Ready", "All seeds, peers and the broker are ready")
    if wrong:
        ready = Verdict("Ready", wrong[0].status, wrong[0].reason, wrong[0].message)
    note = "The operator changes nothing until spec.paused is false" if paused else "The operator is at work"
    last = Verdict("Paused", paused, "Paused" if paused else "NotPaused", note)
    return [ready, *groups, _up_to_date(network, plan), _not_evicted(network, observed, now), last]


def _not_evicted(network: Network, observed: Observed, now: str) -> Verdict:
    """Whether pods stayed of late. Not a part of Ready: they are made again, perhaps without files."""
    if observed.evicted:
        return Verdict("NotEvicted", False, "Evicted", _short("; ".join(observed.evicted)))
    for item in network.status.get("conditions") or ():
        # An operator that was restarted has not seen it.
        since = str(item["lastTransitionTime"])
        evicted = item["type"] == "NotEvicted" and item["status"] == "False"
        if evicted and seconds_between(since, now) < EVICTION_SECONDS:
            return Verdict("NotEvicted", False, item["reason"], item["message"])
    return Verdict("NotEvicted", True, "NoEvictions", "No pod was evicted within the last hour")


def _reconciled(network: Network, observed: Observed, error: OperatorError | None) -> Verdict:
    if error is not None:
        return Verdict("Reconciled", False, error.reason, str(error))
    if not network.spec.paused:
        return Verdict("Reconciled", True, "Applied", "Everything is as the spec says")
    pending = "; ".join(observed.pending) or "nothing"
    note = f"spec.paused is true. Without it would change: {pending}"
    return Verdict("Reconciled", None, "Paused", _short(note, _PLAN_CHARACTERS))


def _up_to_date(network: Network, plan: Plan | None) -> Verdict:
    """Whether pods are as this operator would make them. Not a part of Ready: if not, nothing is wrong."""
    if plan is None:
        before = [item for item in network.status.get("conditions") or () if item["type"] == "UpToDate"]
        for item in before:
            return Verdict("UpToDate", _STATES[item["status"]], item["reason"], item["message"])
        return Verdict("UpToDate", None, "NotReconciled", "Nothing has been reconciled yet")
    old = sorted(component for component, held in plan.held.items() if held.outdated)
    if not old:
        return Verdict("UpToDate", True, "Newest", "All pods are made of this operator's templates")
    names = ", ".join(f"{network.name}-{component}" for component in old)
    versions = sorted({plan.held[component].operator for component in old} - {""})
    by = f" ({', '.join(versions)})" if versions else ""
    note = (
        f"{names}: pods of an earlier operator's template{by}. A change of the spec that concerns them takes"
        f" the newer one, and so does: kubectl annotate p2pn {network.name} --overwrite"
        f' {RESTARTED_AT}="$(date -Is)"'
    )
    return Verdict("UpToDate", False, "EarlierTemplate", note)


def _group(
    type_: str, noun: str, live: Object | None, component: str, observed: Observed, asked: int
) -> Verdict:
    if live is None:
        return Verdict(type_, False, "Missing", f"The {noun} are being made")
    name = f"{live['kind']} {live['metadata']['name']}"
    total, ready = _counts(live)
    if live["kind"] == "DaemonSet":
        state = live.get("status") or {}
        wanted = state.get("desiredNumberScheduled", 0)
        current = state.get("observedGeneration", 0) >= live["metadata"].get("generation", 0)
        done = current and state.get("updatedNumberScheduled", 0) >= wanted and ready >= wanted
    else:
        wanted = live["spec"].get("replicas", asked)
        done = rolled_out(live) and total <= wanted
    leaving = sorted(name for name in observed.draining if _is_of(name, component, live))
    if leaving:
        notes = [observed.drain_notes[name] for name in leaving if name in observed.drain_notes]
        note = "; ".join(notes[:3]) or "they hand over what only they have"
        return Verdict(type_, False, "Draining", _short(f"{', '.join(leaving)} drain before they go: {note}"))
    if done:
        return Verdict(type_, True, "AllReady", f"{ready} of {wanted} {noun} are ready")
    troubles = [
        text
        for pod in observed.pods
        if (pod["metadata"].get("labels") or {}).get(common.COMPONENT) == component and (text := trouble(pod))
    ]
    counted = f"{ready} of {wanted} {noun} are ready"
    if troubles:
        return Verdict(type_, False, "PodsInTrouble", _short(f"{counted}; {troubles[0]}"))
    if ready >= wanted:
        return Verdict(type_, False, "RollingOut", f"{name} is being rolled out; {counted}")
    return Verdict(type_, False, "WaitingForPods", f"{name}: {counted}")


def _is_of(pod: str, component: str, live: Object) -> bool:
    return component != common.BROKER and pod.startswith(f"{live['metadata']['name']}-")


def _broker(network: Network, observed: Observed, error: OperatorError | None) -> Verdict:
    broker = network.spec.broker
    if error is not None:
        return Verdict("BrokerReady", False, error.reason, str(error))
    if broker.managed is not None:
        return _group(
            "BrokerReady", "broker pods", observed.broker, common.BROKER, observed, broker.managed.replicas
        )
    if broker.external is not None:
        return Verdict(
            "BrokerReady", True, "External", f"Secret {broker.external.secret_name} names a broker"
        )
    name = broker.cluster.name if broker.cluster else ""
    return Verdict("BrokerReady", True, "Cluster", f"RabbitmqCluster {name} has credentials for us")


def _broker_column(network: Network, verdicts: Sequence[Verdict]) -> str:
    kind = next(name for name in ("managed", "external", "cluster") if getattr(network.spec.broker, name))
    (verdict,) = [verdict for verdict in verdicts if verdict.type == "BrokerReady"]
    return f"{kind}/{'Ready' if verdict.status else verdict.reason}"


def _counts(live: Object | None) -> tuple[int, int]:
    state = (live or {}).get("status") or {}
    if live is not None and live["kind"] == "DaemonSet":
        return state.get("currentNumberScheduled", 0), state.get("numberReady", 0)
    return state.get("replicas", 0), state.get("readyReplicas", 0)


def _phase(network: Network, verdicts: Sequence[Verdict]) -> str:
    by_type = {verdict.type: verdict for verdict in verdicts}
    if network.spec.paused:
        return "Paused"
    if by_type["Ready"].status:
        return "Ready"
    if not by_type["Reconciled"].status:
        return "Degraded"
    reasons = {verdict.reason for verdict in verdicts if not verdict.status}
    if reasons & _WRONG:
        return "Degraded"
    if reasons & {"RollingOut", "Draining"}:
        return "Progressing"
    if network.status.get("phase") in {"Ready", "Degraded", "Progressing"}:
        return "Progressing"
    return "Pending"


def _generation(network: Network) -> int | None:
    """The generation that the status is about: a paused network stays at the one that was applied last."""
    if not network.spec.paused:
        return network.generation
    before = network.status.get("observedGeneration")
    return None if before is None else int(before)


def _conditions(network: Network, verdicts: Sequence[Verdict], now: str) -> list[Object]:
    before = {item["type"]: item for item in network.status.get("conditions") or ()}
    found = []
    for verdict in verdicts:
        state = "Unknown" if verdict.status is None else str(verdict.status)
        old = before.get(verdict.type, {})
        since = old.get("lastTransitionTime") if old.get("status") == state else None
        condition = {
            "type": verdict.type,
            "status": state,
            "reason": verdict.reason,
            "message": verdict.message,
            "lastTransitionTime": since or now,
        }
        generation = network.generation if verdict.type == "Paused" else _generation(network)
        if generation is not None:
            condition["observedGeneration"] = generation
        found.append(condition)
    return found


def _short(text: str, limit: int = 400) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"
