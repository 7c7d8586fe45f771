"""Whether each part of a network is well, and if not, why. Pure.

Conditions are positive: True is well. But for two, which are as kstatus has them: ``Reconciling`` and
``Stalled`` are True when something is not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from minga_operator.draining import seconds_between
from minga_operator.errors import CannotWatch, OperatorError
from minga_operator.network import RESTARTED_AT, Network, Plan
from minga_operator.observed import Observed, Said, Verdict
from minga_operator.planning import rolled_out
from minga_operator.resources import common
from minga_operator.resources.common import Object
from minga_operator.troubles import lacking, trouble

EVICTION_SECONDS = 3600.0
"""How long an eviction is told of."""
STALLED_SECONDS = 600.0
"""How long what might mend itself may take, as `progressDeadlineSeconds` of a Deployment."""
BRIEFLY_SECONDS = 20.0
"""A node that has just been started is without the broker for so long, and nothing is wrong."""
WRONG = frozenset({
    "PodsInTrouble",
    "PodsRefused",
    "SecretMissing",
    "RabbitmqClusterMissing",
    "KindMissing",
    "NodesDisconnected",
    "InternalError",
})
"""Reasons that waiting alone will hardly mend."""
FINAL = frozenset({"InvalidSpec", "NameTaken", "Refused", "StorageRefused", "CookieLost", "CannotWatch"})
"""Reasons that only a person will."""
_PLAN_CHARACTERS = 4000
"""Of a paused network's plan: whoever ends the pause wants all of it. A condition takes 32768."""
_STATES = {"True": True, "False": False, "Unknown": None}


def verdicts(
    network: Network,
    plan: Plan | None,
    observed: Observed,
    error: OperatorError | None,
    broker_error: OperatorError | None,
    now: str,
) -> list[Verdict]:
    """All of them, Ready first."""
    paused = network.spec.paused
    seeds = _group(
        "SeedsReady", "seeds", observed.seeds, common.SEED, observed, network.spec.seeds.replicas, now
    )
    peers = _group(
        "PeersReady", "peers", observed.peers, common.PEER, observed, network.spec.peers.replicas, now
    )
    groups = [
        seeds,
        _held_back(seeds, peers, observed),
        _broker(network, observed, broker_error, now),
        _reconciled(network, observed, error),
    ]
    if isinstance(error, CannotWatch):
        blind = [Verdict(verdict.type, None, error.reason, short(str(error))) for verdict in groups[:-1]]
        groups = [*blind, groups[-1]]
    # What keeps us from acting comes before what is merely not ready yet; that nobody may act comes last.
    wrong = [verdict for verdict in (groups[-1], *groups[:-1]) if verdict.status is False]
    wrong += [verdict for verdict in groups if verdict.status is None]
    ready = Verdict("Ready", True, "Ready", "All seeds, peers and the broker are ready")
    if wrong:
        ready = Verdict("Ready", wrong[0].status, wrong[0].reason, wrong[0].message)
    stalled = _stalled(network, groups, now)
    note = "The operator changes nothing until spec.paused is false" if paused else "The operator is at work"
    last = Verdict("Paused", paused, "Paused" if paused else "NotPaused", note)
    return [
        ready,
        _reconciling(network, ready, stalled),
        stalled,
        *groups,
        _up_to_date(network, plan),
        _not_evicted(network, observed, now),
        last,
    ]


def _reconciling(network: Network, ready: Verdict, stalled: Verdict) -> Verdict:
    """Whether the network is on its way to what the spec says."""
    if ready.status is True:
        return Verdict("Reconciling", False, "Ready", "Everything is as the spec says")
    if stalled.status:
        return Verdict("Reconciling", False, "Stalled", stalled.message)
    if network.spec.paused:
        return Verdict("Reconciling", False, "Paused", "Nothing is changed until spec.paused is false")
    return Verdict("Reconciling", True, ready.reason, ready.message)


def _stalled(network: Network, groups: Sequence[Verdict], now: str) -> Verdict:
    """Whether somebody has to do something."""
    for verdict in (groups[-1], *groups[:-1]):
        if verdict.status is False and stalls(network.status, verdict.type, verdict.reason, now):
            return Verdict("Stalled", True, verdict.reason, verdict.message)
    return Verdict("Stalled", False, "NotStalled", "Nothing keeps the operator from its work")


def stalls(previous: Mapping[str, Any], type_: str, reason: str, now: str) -> bool:
    """Whether a condition that is False for this reason, and was so in the status before, needs somebody."""
    if reason in FINAL:
        return True
    since = next(
        (
            str(item["lastTransitionTime"])
            for item in previous.get("conditions") or ()
            if item["type"] == type_ and item["status"] == "False"
        ),
        now,
    )
    return reason in WRONG and seconds_between(since, now) >= STALLED_SECONDS


def _not_evicted(network: Network, observed: Observed, now: str) -> Verdict:
    """Whether pods stayed of late. Not a part of Ready: they are made again, perhaps without files."""
    if observed.evicted:
        return Verdict("NotEvicted", False, "Evicted", short("; ".join(observed.evicted)))
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
    return Verdict("Reconciled", None, "Paused", short(note, _PLAN_CHARACTERS))


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
    type_: str, noun: str, live: Object | None, component: str, observed: Observed, asked: int, now: str
) -> Verdict:
    if live is None:
        return Verdict(type_, False, "Missing", f"The {noun} are being made")
    name = f"{live['kind']} {live['metadata']['name']}"
    total, ready = counts(live)
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
        return Verdict(type_, False, "Draining", short(f"{', '.join(leaving)} drain before they go: {note}"))
    if done:
        return Verdict(type_, True, "AllReady", f"{ready} of {wanted} {noun} are ready")
    counted = f"{ready} of {wanted} {noun} are ready"
    if component in observed.refused and lacking(live):
        text = f"{counted}; {name} gets no more pods: {observed.refused[component]}"
        return Verdict(type_, False, "PodsRefused", short(text))
    troubles = [
        text
        for pod in observed.pods
        if (pod["metadata"].get("labels") or {}).get(common.COMPONENT) == component
        and (text := trouble(pod, now, observed.unmounted.get(pod["metadata"]["name"], "")))
    ]
    if troubles:
        return Verdict(type_, False, "PodsInTrouble", short(f"{counted}; {troubles[0]}"))
    if ready >= wanted:
        return Verdict(type_, False, "RollingOut", f"{name} is being rolled out; {counted}")
    return Verdict(type_, False, "WaitingForPods", f"{name}: {counted}")


def _held_back(seeds: Verdict, peers: Verdict, observed: Observed) -> Verdict:
    """Peers that wait for nothing but a seed, to join or to be rolled after it, say so."""
    if seeds.status is True or peers.reason not in {"WaitingForPods", "RollingOut"}:
        return peers
    _, ready = counts(observed.seeds)
    strategy = (observed.peers or {}).get("spec", {}).get("updateStrategy", {}).get("rollingUpdate") or {}
    if ready and not strategy.get("partition"):
        return peers
    why = "are rolled after the seeds" if ready else "join through a seed, and none is ready"
    return Verdict(peers.type, False, "WaitingForSeeds", short(f"{peers.message}; peers {why}"))


def _is_of(pod: str, component: str, live: Object) -> bool:
    return component != common.BROKER and pod.startswith(f"{live['metadata']['name']}-")


def _broker(network: Network, observed: Observed, error: OperatorError | None, now: str) -> Verdict:
    broker = network.spec.broker
    if error is not None:
        return Verdict("BrokerReady", False, error.reason, str(error))
    if broker.managed is not None:
        replicas = broker.managed.replicas
        found = _group("BrokerReady", "broker pods", observed.broker, common.BROKER, observed, replicas, now)
    elif broker.external is not None:
        secret = f"Secret {broker.external.secret_name} names a broker"
        found = Verdict("BrokerReady", True, "External", secret)
    else:
        name = broker.cluster.name if broker.cluster else ""
        found = Verdict("BrokerReady", True, "Cluster", f"RabbitmqCluster {name} has credentials for us")
    return _as_nodes_say(network, found, observed.said) if found.status else found


def _as_nodes_say(network: Network, found: Verdict, said: Mapping[str, Said]) -> Verdict:
    """A broker is ready when nodes have it, not when there is a Secret or a pod."""
    if not said:
        note = f"{found.message}; no node is ready that could say whether it is connected"
        return Verdict(found.type, None, "WaitingForNodes", note)
    was = any(
        item["type"] == found.type and item["status"] == "True"
        for item in network.status.get("conditions") or ()
    )
    away = {name: one for name, one in said.items() if not one.connected}
    lasting = {name: one for name, one in away.items() if one.seconds >= BRIEFLY_SECONDS}
    if not away or (was and not lasting):
        return Verdict(found.type, True, found.reason, f"{found.message}; the nodes are connected")
    name, first = sorted((lasting or away).items())[0]
    problem = first.problem or "it is connecting"
    note = f"{len(away)} of {len(said)} nodes are not connected to the broker; {name}: {problem}"
    return Verdict(found.type, False, "NodesDisconnected" if lasting else "WaitingForNodes", short(note))


def counts(live: Object | None) -> tuple[int, int]:
    """A workload's pods, and those of them that are ready."""
    state = (live or {}).get("status") or {}
    if live is not None and live["kind"] == "DaemonSet":
        return state.get("currentNumberScheduled", 0), state.get("numberReady", 0)
    return state.get("replicas", 0), state.get("readyReplicas", 0)


def short(text: str, limit: int = 400) -> str:
    """A text that fits into a condition that people read."""
    return text if len(text) <= limit else text[: limit - 1] + "…"
