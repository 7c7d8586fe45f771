"""Which peers may go. Pure: from what they report to how many must stay for now."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from minga_operator.network import Network
from minga_operator.resources import common
from minga_operator.resources.common import Object

FORMAT = "%Y-%m-%dT%H:%M:%SZ"


@dataclass(frozen=True)
class Report:
    """What a draining peer says of itself."""

    done: bool
    files: int
    """Contents that only it has."""
    bytes: int = 0


@dataclass(frozen=True)
class Decision:
    """How many peers stay for now, and what to tell."""

    keep: int = 0
    """Peers with an ordinal below stay; 0 when nobody drains."""
    since: Mapping[str, str] = field(default_factory=dict)
    """Draining peers, and when they began (RFC 3339)."""
    note: str = ""
    overdue: str = ""
    """Peers that go with only copies on them, because their time is over; empty when there are none."""


def leaving(network: Network, peers: Object | None) -> list[str]:
    """Names of the StatefulSet's pods that the spec no longer wants, lowest first."""
    if peers is None or network.spec.peers.drain_seconds == 0:
        return []
    wanted = 0 if network.spec.peers.mode == "DaemonSet" else network.spec.peers.replicas
    name = common.peer_name(network)
    return [f"{name}-{ordinal}" for ordinal in range(wanted, peers["spec"].get("replicas", 1))]


def running(pods: Sequence[Object], names: Sequence[str]) -> dict[str, str]:
    """Addresses of those pods that run: the others have nothing that they could hand over."""
    found = {}
    for pod in pods:
        state = pod.get("status") or {}
        ready = any(
            item["type"] == "Ready" and item["status"] == "True" for item in state.get("conditions") or ()
        )
        if pod["metadata"]["name"] in names and ready and state.get("podIP"):
            found[pod["metadata"]["name"]] = str(state["podIP"])
    return found


def decide(
    network: Network, names: Sequence[str], reports: Mapping[str, Report | None], now: str
) -> Decision:
    """Decides about the peers that are to leave.

    Args:
        names: all that are to leave, lowest ordinal first.
        reports: what those that run say; None from one that does not answer.
        now: RFC 3339.
    """
    before: Mapping[str, str] = network.status.get("draining") or {}
    since, notes, overdue, keep = {}, [], [], 0
    limit = network.spec.peers.drain_seconds
    for name in names:
        report = reports.get(name)
        if name not in reports or (report is not None and report.done):
            continue
        began = before.get(name, now)
        what = f"{report.files} files are only on {name}" if report else f"{name} does not answer"
        if _seconds(began, now) >= limit:
            overdue.append(what)
            continue
        since[name] = began
        notes.append(what)
        keep = int(name.rpartition("-")[2]) + 1
    # A peer below one that still drains stays as well: a StatefulSet goes from the top.
    return Decision(keep, since, "; ".join(notes[:3]), "; ".join(overdue))


def _seconds(began: str, now: str) -> float:
    moments = [datetime.datetime.strptime(text, FORMAT) for text in (began, now)]
    return (moments[1] - moments[0]).total_seconds()
