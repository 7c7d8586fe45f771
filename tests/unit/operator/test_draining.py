"""Which pods may go."""

from __future__ import annotations

from typing import Any

import pytest

from minga_operator.draining import Decision, Leaving, Report, decide, leaving, running, untouched
from minga_operator.resources import workload
from tests.unit.operator.networks import live, network, plan

NOW, LATER, LATE = "2026-01-02T03:04:05Z", "2026-01-02T03:05:05Z", "2026-01-02T03:20:00Z"
DONE, BUSY = Report(done=True, files=0), Report(done=False, files=4, bytes=9)


def five(spec: dict[str, Any] | None = None) -> dict[str, Any]:
    of = network({"peers": {"replicas": 5, **(spec or {})}})
    return live(workload.peers(of, plan(of)))


def three_seeds() -> dict[str, Any]:
    of = network({"seeds": {"replicas": 3}})
    return live(workload.seeds(of, plan(of)))


def pod(
    name: str,
    *,
    ready: bool = True,
    address: str = "10.0.0.1",
    made: str = NOW,
    phase: str = "Running",
    **container: Any,
) -> dict[str, Any]:
    conditions = [{"type": "Ready", "status": "True" if ready else "False"}]
    state = {"conditions": conditions, "podIP": address, "phase": phase, "containerStatuses": [container]}
    return {"metadata": {"name": name, "creationTimestamp": made}, "spec": {}, "status": state}


def claim(name: str, *, made: str = NOW, phase: str = "Bound") -> dict[str, Any]:
    spec = {"volumeName": "pv-1"} if phase == "Bound" else {}
    metadata = {"name": f"data-{name}", "creationTimestamp": made}
    return {"metadata": metadata, "spec": spec, "status": {"phase": phase}}


@pytest.mark.parametrize(
    ("peers", "expected"),
    [
        ({"replicas": 5}, []),
        ({"replicas": 7}, []),
        ({"replicas": 3}, ["library-peer-3", "library-peer-4"]),
        ({"replicas": 3, "drainSeconds": 0}, []),
        ({"replicas": 9, "mode": "DaemonSet"}, [f"library-peer-{number}" for number in range(5)]),
    ],
)
def test_who_is_to_leave(peers: dict[str, Any], expected: list[str]) -> None:
    found = leaving(network({"peers": peers}), None, five())
    assert [name for group in found for name in group.names] == expected


def test_seeds_leave_as_peers_do() -> None:
    (group,) = leaving(network({"seeds": {"replicas": 1, "drainSeconds": 7}}), three_seeds(), None)
    assert (group.component, group.names) == ("seed", ("library-seed-1", "library-seed-2"))
    assert group.seconds == 7
    assert leaving(network({"seeds": {"replicas": 1, "drainSeconds": 0}}), three_seeds(), None) == []


def test_the_peers_of_a_daemon_set_leave_when_it_goes() -> None:
    daemons = {"metadata": {"name": "library-peer", "uid": "d-1"}, "spec": {}}
    mine = pod("library-peer-x2x4")
    mine["metadata"]["ownerReferences"] = [{"uid": "d-1", "controller": True}]
    mine["spec"] = {"nodeName": "node1"}
    pods = [mine, pod("library-peer-0")]
    (group,) = leaving(network({"peers": {"mode": "StatefulSet"}}), None, None, daemons, pods)
    assert (group.names, group.peers) == (("library-peer-x2x4",), ("library-peer-node1",))
    assert leaving(network({"peers": {"mode": "DaemonSet"}}), None, None, daemons, pods) == []
    found = decide(network(), [group], {mine["metadata"]["name"]: None}, (), NOW)
    assert list(found.workloads) == [("DaemonSet", "peer")]


def test_a_new_network_has_nobody_to_leave() -> None:
    assert leaving(network(), None, None) == []


def test_only_ready_pods_of_those_are_asked() -> None:
    pods = [pod("a"), pod("b", ready=False), pod("c", address=""), pod("d")]
    assert running(pods, ["a", "b", "c"]) == {"a": "10.0.0.1"}


NAMES = ["library-peer-2", "library-peer-3", "library-peer-4"]
GROUP = Leaving("peer", tuple(NAMES), 600)


def draining(began: str = NOW) -> dict[str, Any]:
    return {"draining": dict.fromkeys(NAMES, began)}


@pytest.mark.parametrize(
    ("reports", "keep", "still"),
    [
        (dict.fromkeys(NAMES, DONE), {}, []),
        # Nobody can be asked: not ready, or on a Kubernetes node that is away.
        ({}, {"peer": 5}, NAMES),
        (dict.fromkeys(NAMES, None), {"peer": 5}, NAMES),
        (dict.fromkeys(NAMES, BUSY), {"peer": 5}, NAMES),
        ({NAMES[0]: BUSY, NAMES[1]: DONE, NAMES[2]: DONE}, {"peer": 3}, [NAMES[0]]),
        ({NAMES[0]: DONE, NAMES[1]: None, NAMES[2]: DONE}, {"peer": 4}, [NAMES[1]]),
        ({NAMES[0]: DONE, NAMES[1]: DONE}, {"peer": 5}, [NAMES[2]]),
    ],
)
def test_pods_stay_until_they_say_that_they_have_nothing_unique(
    reports: dict[str, Report | None], keep: dict[str, int], still: list[str]
) -> None:
    found = decide(network({"peers": {"replicas": 2}}), [GROUP], reports, (), NOW)
    assert (found.keep, list(found.since)) == (keep, still)
    assert found.overdue == ()


def test_a_pod_that_never_held_anything_goes_at_once() -> None:
    found = decide(network(), [GROUP], {NAMES[0]: BUSY}, {NAMES[1], NAMES[2]}, NOW)
    assert (found.keep, list(found.since)) == ({"peer": 3}, [NAMES[0]])
    assert decide(network(), [GROUP], {}, set(NAMES), NOW) == Decision()


def test_what_is_still_unique_is_told() -> None:
    found = decide(network(), [Leaving("peer", (NAMES[1],), 600)], {NAMES[1]: BUSY}, (), NOW)
    note = "4 files (9 bytes) are only on library-peer-3"
    assert found == Decision({"peer": 4}, (), {NAMES[1]: NOW}, {NAMES[1]: note}, ())


def test_the_beginning_is_remembered_over_restarts() -> None:
    found = decide(network({}, draining()), [GROUP], dict.fromkeys(NAMES, BUSY), (), LATER)
    assert found.since == dict.fromkeys(NAMES, NOW)


@pytest.mark.parametrize(
    ("report", "last", "told"),
    [
        (BUSY, {}, "4 files (9 bytes) are only on library-peer-2"),
        (None, {NAMES[0]: BUSY}, "library-peer-2 does not answer; 4 files (9 bytes) were only on it before"),
        (None, {}, "library-peer-2 does not answer: files and bytes that are only on it are unknown"),
    ],
)
def test_after_the_deadline_it_goes_and_that_is_told(
    report: Report | None, last: dict[str, Report], told: str
) -> None:
    of = network({"peers": {"replicas": 2}}, draining())
    found = decide(of, [Leaving("peer", (NAMES[0],), 600)], {NAMES[0]: report}, (), LATE, last)
    assert (found.keep, found.since) == ({}, {})
    assert found.overdue == (told,)


def test_who_must_wait_for_a_higher_one_keeps_its_time_and_is_told_of_once() -> None:
    of = network({}, {"draining": {NAMES[0]: NOW, NAMES[2]: "2026-01-02T03:19:00Z"}})
    reports: dict[str, Report | None] = {NAMES[0]: BUSY, NAMES[1]: DONE, NAMES[2]: BUSY}
    found = decide(of, [GROUP], reports, (), LATE)
    assert (found.keep, found.overdue) == ({"peer": 5}, ())
    assert found.since == {NAMES[0]: NOW, NAMES[2]: "2026-01-02T03:19:00Z"}
    after = decide(of, [GROUP], reports | {NAMES[2]: DONE}, (), LATE)
    assert (after.keep, after.since) == ({}, {})
    assert after.overdue == ("4 files (9 bytes) are only on library-peer-2",)


def test_a_workload_that_is_to_go_goes_as_a_whole() -> None:
    group = Leaving("peer", tuple(NAMES), 600, whole=True)
    reports: dict[str, Report | None] = {NAMES[0]: BUSY, NAMES[1]: DONE, NAMES[2]: DONE}
    found = decide(network(), [group], reports, (), NOW)
    assert (found.keep, list(found.workloads)) == ({}, [("StatefulSet", "peer")])
    assert decide(network(), [group], dict.fromkeys(NAMES, DONE), (), NOW).workloads == ()


WAITING: dict[str, Any] = {"state": {"waiting": {"reason": "ImagePullBackOff"}}}
RUNNING: dict[str, Any] = {"state": {"running": {}}}
EARLIER = "2026-01-02T02:00:00Z"


@pytest.mark.parametrize(
    ("storage", "there", "volume", "nothing"),
    [
        # Without a volume, what there was went with the pod before.
        ({"ephemeral": True}, None, None, True),
        ({"ephemeral": True}, pod("p", phase="Pending", **WAITING), None, True),
        ({"ephemeral": True}, pod("p", phase="Pending", **WAITING, restartCount=1), None, False),
        ({"ephemeral": True}, pod("p", ready=False, **RUNNING), None, False),
        ({"ephemeral": True}, pod("p", phase="Failed"), None, False),
        # With one, the pod before may have left files on it.
        ({}, None, None, True),
        ({}, None, claim("p", phase="Pending"), True),
        ({}, None, claim("p"), False),
        ({}, pod("p", phase="Pending", **WAITING), claim("p", made=EARLIER), False),
        ({}, pod("p", phase="Pending", **WAITING), claim("p"), True),
        ({}, pod("p", ready=False, **RUNNING), claim("p"), False),
    ],
)
def test_what_certainly_never_held_anything(
    storage: dict[str, Any], there: dict[str, Any] | None, volume: dict[str, Any] | None, nothing: bool
) -> None:
    pods, claims = [there] if there else [], [volume] if volume else []
    found = untouched(five({"storage": storage}), ["p"], pods, claims)
    assert found == ({"p"} if nothing else set())


def ended(
    status: dict[str, Any], reports: dict[str, Report | None], now: str = LATER, *, replicas: int = 4
) -> dict[str, str]:
    """The last drain, after a look at a network that is to have that many of five peers."""
    of = network({"peers": {"replicas": replicas}}, status)
    return dict(decide(of, leaving(of, None, five()), reports, (), now).ended)


def test_the_last_drain_is_told_with_how_it_ended() -> None:
    name, draining = "library-peer-4", {"draining": {"library-peer-4": NOW}}
    assert ended({}, {name: BUSY}) == {}
    assert ended(draining, {name: BUSY}) == {}
    over = ended(draining, {name: DONE})
    assert (over["pod"], over["endedAt"], over["outcome"]) == (name, LATER, "HandedOver")
    # It is told once, however long the pod takes to go.
    assert ended({"lastDrain": over}, {name: DONE}, LATE) == over
    late = ended(draining, {name: BUSY}, LATE)
    assert late["outcome"] == "DeadlineOver"
    assert "4 files (9 bytes)" in late["message"]
    assert ended(draining, {}, replicas=5)["outcome"] == "Cancelled"
    assert ended({"lastDrain": over}, {}, LATE, replicas=5) == over
