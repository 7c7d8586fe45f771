"""What is wrong with pods, in a few words. Pure: from pods and the Events about them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from minga_operator.draining import seconds_between
from minga_operator.resources.common import Object

UNSCHEDULED_SECONDS = 30.0
"""Before that a pod without a Kubernetes node is none of our business: the scheduler tries again."""
MOUNT_SECONDS = 15.0
"""Before that a container is merely being made."""
_QUIET = frozenset({"ContainerCreating", "PodInitializing"})
_CAUSES = ("error: ", "Error creating: ")
"""What controllers write before the API server's words."""


def trouble(pod: Object, now: str, unmounted: str = "") -> str:
    """Why a pod does not run; empty when nothing is wrong, or may be over in a moment.

    Args:
        now: RFC 3339.
        unmounted: what the kubelet says of its volumes.
    """
    name = pod["metadata"]["name"]
    if text := unscheduled(pod):
        return f"{name} cannot be scheduled: {text}" if _since(pod, now) >= UNSCHEDULED_SECONDS else ""
    for container in containers(pod):
        found = container.get("state") or {}
        waiting = found.get("waiting") or {}
        ended = (container.get("lastState") or {}).get("terminated") or {}
        last = found.get("terminated") or ended
        if not container.get("ready") and last.get("reason") == "OOMKilled":
            times = container.get("restartCount", 0)
            return f"{name}: {container.get('name')} was killed for lack of memory ({times} restarts)"
        if waiting and waiting.get("reason") not in _QUIET:
            detail = waiting.get("message") or ""
            if ended:
                detail = f"exit status {ended.get('exitCode')}; {detail}"
            return f"{name}: {waiting.get('reason')}: {detail}".rstrip(": ")
    return f"{name}: {unmounted}" if unmounted and hangs(pod, now) else ""


def unscheduled(pod: Object) -> str:
    """What the scheduler says of a pod that it has no Kubernetes node for."""
    for condition in (pod.get("status") or {}).get("conditions") or ():
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            return str(condition.get("message") or condition.get("reason") or "no reason is given")
    return ""


def fresh(pod: Object, now: str) -> bool:
    """Whether time alone may make a trouble of it."""
    waits = bool(unscheduled(pod)) and _since(pod, now) < UNSCHEDULED_SECONDS
    return waits or (_creating(pod) and not hangs(pod, now))


def hangs(pod: Object, now: str) -> bool:
    """Whether its containers are being made for so long that the kubelet may have said why."""
    return _creating(pod) and _since(pod, now) >= MOUNT_SECONDS


def containers(pod: Object) -> Sequence[Mapping[str, Any]]:
    """The states of a pod's containers, those of its start first."""
    state = pod.get("status") or {}
    return (*(state.get("initContainerStatuses") or ()), *(state.get("containerStatuses") or ()))


def lacking(live: Object | None) -> bool:
    """Whether a workload has fewer pods than it should have."""
    if live is None:
        return False
    state = live.get("status") or {}
    if live["kind"] == "DaemonSet":
        return bool(state.get("currentNumberScheduled", 0) < state.get("desiredNumberScheduled", 0))
    return bool(state.get("replicas", 0) < live["spec"].get("replicas", 1))


def refusal(events: Sequence[Object], pods: Sequence[Object]) -> str:
    """Why a workload's controller gets no pod, as the API server says it; empty where there is no such word.

    Args:
        events: about the workload.
        pods: those that it has: what was said before the youngest was made is over.
    """
    youngest = max((str(pod["metadata"].get("creationTimestamp", "")) for pod in pods), default="")
    return _newest(events, {"FailedCreate"}, youngest)


def unmounted(events: Sequence[Object]) -> str:
    """Why a pod's volumes are not there."""
    return _newest(events, {"FailedMount", "FailedAttachVolume", "FailedMapVolume"}, "")


def told_at(event: Object) -> str:
    """When an Event was last told, to the second (RFC 3339); those of the old API keep it elsewhere."""
    series = event.get("series") or {}
    found = series.get("lastObservedTime") or event.get("deprecatedLastTimestamp") or event.get("eventTime")
    return f"{str(found)[:19]}Z" if found else ""


def _newest(events: Sequence[Object], reasons: set[str], after: str) -> str:
    fitting = [event for event in events if event.get("reason") in reasons and told_at(event) >= after]
    if not fitting:
        return ""
    note = " ".join(str(max(fitting, key=told_at).get("note", "")).split())
    for cause in _CAUSES:
        note = note.partition(cause)[2] or note
    return note


def _creating(pod: Object) -> bool:
    return any(
        ((item.get("state") or {}).get("waiting") or {}).get("reason") in _QUIET for item in containers(pod)
    )


def _since(pod: Object, now: str) -> float:
    """Seconds since the scheduler's last word, or else since the pod was made."""
    moments = [
        item.get("lastTransitionTime")
        for item in (pod.get("status") or {}).get("conditions") or ()
        if item["type"] == "PodScheduled"
    ]
    began = next((text for text in moments if text), pod["metadata"].get("creationTimestamp"))
    return seconds_between(str(began), now) if began else float("inf")
