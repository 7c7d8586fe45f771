"""From what there is to the status a user sees. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from minga_operator.addresses import address, url
from minga_operator.errors import CannotWatch, OperatorError
from minga_operator.network import Network, Plan
from minga_operator.observed import Observed, Verdict
from minga_operator.resources import common
from minga_operator.resources.common import Object
from minga_operator.verdicts import FINAL, WRONG, counts, stalls, verdicts

TYPES = (
    "Ready",
    "Reconciling",
    "Stalled",
    "SeedsReady",
    "PeersReady",
    "BrokerReady",
    "Reconciled",
    "UpToDate",
    "NotEvicted",
    "Paused",
)


def status(
    network: Network,
    plan: Plan | None,
    observed: Observed,
    error: OperatorError | None,
    broker_error: OperatorError | None,
    now: str,
) -> Object:
    """The whole status; ``now`` is RFC 3339. Without a plan, only conditions and counts are new."""
    given = verdicts(network, plan, observed, error, broker_error, now)
    seeds, ready_seeds = counts(observed.seeds)
    peers, ready_peers = counts(observed.peers)
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
                "members",
                "lastDrain",
            )
            if key in previous
        },
        "conditions": _conditions(network, given, now),
        "phase": _phase(network, given),
        "seeds": seeds,
        "readySeeds": ready_seeds,
        "peers": peers,
        "readyPeers": ready_peers,
        "selector": ",".join(
            f"{key}={value}" for key, value in common.selector(network, common.PEER).items()
        ),
        "broker": _broker_column(network, given),
        "binding": {"name": common.binding_name(network)},
        "url": url(network, observed.service),
    }
    if (where := address(network, observed.service)) is not None:
        found["address"] = where
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
    if observed.members is not None:
        found["members"] = observed.members
    if observed.last_drain:
        found["lastDrain"] = dict(observed.last_drain)
    return found


def defect(previous: Mapping[str, Any], generation: int, error: OperatorError, now: str) -> Object:
    """What is said when the status itself cannot be told: the conditions of before, but for four.

    As ever, of Ready, Reconciling and Stalled one is true.
    """
    stalled = stalls(previous, "Reconciled", error.reason, now)
    told = {"Ready": False, "Reconciling": not stalled, "Stalled": stalled, "Reconciled": False}
    before = {item["type"]: item for item in previous.get("conditions") or ()}
    conditions = []
    for type_ in TYPES:
        if type_ in told:
            verdict = Verdict(type_, told[type_], error.reason, str(error))
            conditions.append(_condition(verdict, before.get(type_, {}), generation, now))
        elif type_ in before:
            conditions.append(dict(before[type_]))
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


def _broker_column(network: Network, found: Sequence[Verdict]) -> str:
    kind = next(name for name in ("managed", "external", "cluster") if getattr(network.spec.broker, name))
    (verdict,) = [verdict for verdict in found if verdict.type == "BrokerReady"]
    return f"{kind}/{'Ready' if verdict.status else verdict.reason}"


def _phase(network: Network, found: Sequence[Verdict]) -> str:
    by_type = {verdict.type: verdict for verdict in found}
    if network.spec.paused:
        return "Paused"
    if by_type["Ready"].status:
        return "Ready"
    if not by_type["Reconciled"].status:
        return "Degraded"
    reasons = {verdict.reason for verdict in found if not verdict.status}
    if reasons & (WRONG | FINAL):
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


def _conditions(network: Network, given: Sequence[Verdict], now: str) -> list[Object]:
    before = {item["type"]: item for item in network.status.get("conditions") or ()}
    return [
        _condition(
            verdict,
            before.get(verdict.type, {}),
            network.generation if verdict.type == "Paused" else _generation(network),
            now,
        )
        for verdict in given
    ]


def _condition(verdict: Verdict, old: Mapping[str, Any], generation: int | None, now: str) -> Object:
    state = "Unknown" if verdict.status is None else str(verdict.status)
    since = old.get("lastTransitionTime") if old.get("status") == state else None
    found = {
        "type": verdict.type,
        "status": state,
        "reason": verdict.reason,
        "message": verdict.message,
        "lastTransitionTime": since or now,
    }
    return found if generation is None else found | {"observedGeneration": generation}
