"""Which pods may go. Pure: from what they report to how many must stay for now.

A pod that does not answer may hold the only copy of a file: unknown is never taken for done. It goes when it
says that it holds nothing that nobody else has, when it never held anything, or when its time is over.
"""

from __future__ import annotations

import datetime
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from minga_operator.network import Network
from minga_operator.resources import common
from minga_operator.resources.common import Object
from minga_operator.resources.storage import VOLUME

FORMAT = "%Y-%m-%dT%H:%M:%SZ"
_TOGETHER_SECONDS = 2.0
"""A claim that is older than its pod by more than that had a pod before."""


@dataclass(frozen=True)
class Report:
    """What a draining pod says of itself."""

    done: bool
    files: int
    """Contents that only it has."""
    bytes: int = 0


@dataclass(frozen=True)
class Leaving:
    """Pods of one workload that the spec no longer wants."""

    component: str
    names: tuple[str, ...]
    """Pods; of a StatefulSet lowest ordinal first."""
    seconds: int
    """How long each may take."""
    peers: tuple[str, ...] = ()
    """The same pods by the names that the network knows them by."""
    whole: bool = False
    """Whether none goes before all may: the workload itself is to go."""
    kind: str = "StatefulSet"


@dataclass(frozen=True)
class Decision:
    """Which pods stay for now, and what to tell."""

    keep: Mapping[str, int] = field(default_factory=dict)
    """By component: pods of its StatefulSet with an ordinal below stay; no entry where nobody has to."""
    workloads: tuple[tuple[str, str], ...] = ()
    """Kind and component of workloads that the spec no longer wants, and that stay for now."""
    since: Mapping[str, str] = field(default_factory=dict)
    """Draining pods, and when they began (RFC 3339)."""
    notes: Mapping[str, str] = field(default_factory=dict)
    """What each of them is still needed for."""
    overdue: tuple[str, ...] = ()
    """What is known of each pod that goes now because its time is over."""
    ended: Mapping[str, str] = field(default_factory=dict)
    """The drain that ended just now, or the one before: its pod, when (RFC 3339), outcome and message."""


def leaving(
    network: Network,
    seeds: Object | None,
    peers: Object | None,
    daemons: Object | None = None,
    pods: Sequence[Object] = (),
) -> list[Leaving]:
    """What the spec no longer wants of the workloads that there are."""
    spec = network.spec
    daemon_set = spec.peers.mode == "DaemonSet"
    found = [
        _ordinals(common.SEED, seeds, spec.seeds.replicas, spec.seeds.drain_seconds, whole=False),
        _ordinals(
            common.PEER,
            peers,
            0 if daemon_set else spec.peers.replicas,
            spec.peers.drain_seconds,
            whole=daemon_set,
        ),
    ]
    if daemons is not None and not daemon_set:
        found.append(_of_daemons(network, daemons, pods))
    return [group for group in found if group.names and group.seconds]


def _ordinals(component: str, live: Object | None, wanted: int, seconds: int, *, whole: bool) -> Leaving:
    if live is None:
        return Leaving(component, (), seconds)
    name = live["metadata"]["name"]
    names = tuple(f"{name}-{ordinal}" for ordinal in range(wanted, live["spec"].get("replicas", 1)))
    return Leaving(component, names, seconds, names, whole)


def _of_daemons(network: Network, daemons: Object, pods: Sequence[Object]) -> Leaving:
    uid = daemons["metadata"]["uid"]
    mine = [
        pod
        for pod in pods
        if any(owner.get("uid") == uid for owner in pod["metadata"].get("ownerReferences") or ())
    ]
    return Leaving(
        common.PEER,
        tuple(pod["metadata"]["name"] for pod in mine),
        network.spec.peers.drain_seconds,
        # A peer of a DaemonSet is called after the Kubernetes node: resources/workload.py.
        tuple(f"{common.peer_name(network)}-{pod.get('spec', {}).get('nodeName', '')}" for pod in mine),
        whole=True,
        kind="DaemonSet",
    )


def running(pods: Sequence[Object], names: Collection[str]) -> dict[str, str]:
    """Addresses of those pods that can be asked now."""
    found = {}
    for pod in pods:
        state = pod.get("status") or {}
        ready = any(
            item["type"] == "Ready" and item["status"] == "True" for item in state.get("conditions") or ()
        )
        if pod["metadata"]["name"] in names and ready and state.get("podIP"):
            found[pod["metadata"]["name"]] = str(state["podIP"])
    return found


def untouched(
    workload: Object, names: Collection[str], pods: Sequence[Object], claims: Sequence[Object]
) -> set[str]:
    """Those of a workload's pods that certainly never held anything.

    Without a volume: no container of the pod was ever started. With one: neither by this pod nor by
    one before it, which the claim tells: it was never bound, or was made together with this pod.
    """
    by_name = {pod["metadata"]["name"]: pod for pod in pods}
    volumes = {claim["metadata"]["name"]: claim for claim in claims}
    lasting = bool(workload["spec"].get("volumeClaimTemplates"))
    found = set()
    for name in names:
        pod, claim = by_name.get(name), volumes.get(f"{VOLUME}-{name}")
        if pod is not None and _started(pod):
            continue
        if not lasting or claim is None or _unbound(claim) or (pod is not None and _together(pod, claim)):
            found.add(name)
    return found


def _started(pod: Object) -> bool:
    state = pod.get("status") or {}
    if state.get("phase", "Pending") != "Pending":
        return True
    return any(
        item.get("restartCount") or item.get("lastState") or (item.get("state") or {}).keys() - {"waiting"}
        for item in state.get("containerStatuses") or ()
    )


def _unbound(claim: Object) -> bool:
    phase = (claim.get("status") or {}).get("phase", "Pending")
    return bool(phase == "Pending" and not claim["spec"].get("volumeName"))


def _together(pod: Object, claim: Object) -> bool:
    made = [item["metadata"].get("creationTimestamp") for item in (claim, pod)]
    return None not in made and seconds_between(str(made[0]), str(made[1])) <= _TOGETHER_SECONDS


def decide(
    network: Network,
    groups: Sequence[Leaving],
    reports: Mapping[str, Report | None],
    nothing: Collection[str],
    now: str,
    last: Mapping[str, Report] | None = None,
) -> Decision:
    """Decides about the pods that are to leave.

    Args:
        groups: all that are to leave.
        reports: what pods say that can be asked; None from one that does not answer.
        nothing: pods that never held anything.
        now: RFC 3339.
        last: what pods said when they last answered.
    """
    before: Mapping[str, str] = network.status.get("draining") or {}
    keep: dict[str, int] = {}
    workloads: list[tuple[str, str]] = []
    since: dict[str, str] = {}
    notes: dict[str, str] = {}
    overdue: list[str] = []
    ended: Mapping[str, str] = network.status.get("lastDrain") or {}
    for name in before.keys() - {name for group in groups for name in group.names}:
        ended = _ended(name, now, "Cancelled", "it is not to drain any more")
    for group in groups:
        late: dict[int, str] = {}
        stays = 0
        for place, name in enumerate(group.names, start=1):
            report = reports.get(name)
            if report is not None and report.done and (name in before or ended.get("pod") != name):
                ended = _ended(name, now, "HandedOver", "it held nothing that nobody else has")
            if name in nothing or (report is not None and report.done):
                continue
            began = before.get(name, now)
            since[name], notes[name] = began, _note(name, report, (last or {}).get(name))
            if seconds_between(began, now) >= group.seconds:
                late[place] = name
            else:
                stays = place
        # A StatefulSet goes from the top: a pod below one that still drains stays too, and its time goes on.
        going = [name for place, name in late.items() if (not stays if group.whole else place > stays)]
        overdue += [notes[name] for name in going]
        for name in going:
            ended = _ended(name, now, "DeadlineOver", notes[name])
            del since[name], notes[name]
        if stays and group.whole:
            workloads.append((group.kind, group.component))
        elif stays:
            keep[group.component] = int(group.names[stays - 1].rpartition("-")[2]) + 1
    return Decision(keep, tuple(workloads), since, notes, tuple(overdue), ended)


def _ended(pod: str, now: str, outcome: str, message: str) -> Mapping[str, str]:
    return {"pod": pod, "endedAt": now, "outcome": outcome, "message": message}


def _note(name: str, report: Report | None, last: Report | None) -> str:
    if report is not None:
        return f"{report.files} files ({report.bytes} bytes) are only on {name}"
    if last is not None:
        return f"{name} does not answer; {last.files} files ({last.bytes} bytes) were only on it before"
    return f"{name} does not answer: files and bytes that are only on it are unknown"


def seconds_between(began: str, now: str) -> float:
    """From one time of the API server's to another."""
    moments = [datetime.datetime.strptime(text, FORMAT) for text in (began, now)]
    return (moments[1] - moments[0]).total_seconds()
