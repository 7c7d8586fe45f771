"""Which peers may go."""

from __future__ import annotations

from typing import Any

import pytest

from minga_operator.draining import Decision, Report, decide, leaving, running
from minga_operator.resources import workload
from tests.unit.operator.networks import live, network, plan

NOW, LATER, LATE = "2026-01-02T03:04:05Z", "2026-01-02T03:05:05Z", "2026-01-02T03:20:00Z"
DONE, BUSY = Report(done=True, files=0), Report(done=False, files=4, bytes=9)


def five() -> dict[str, Any]:
    of = network({"peers": {"replicas": 5}})
    return live(workload.peers(of, plan(of)))


def pod(name: str, *, ready: bool = True, address: str = "10.0.0.1") -> dict[str, Any]:
    conditions = [{"type": "Ready", "status": "True" if ready else "False"}]
    return {"metadata": {"name": name}, "status": {"conditions": conditions, "podIP": address}}


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
    assert leaving(network({"peers": peers}), five()) == expected


def test_a_new_network_has_nobody_to_leave() -> None:
    assert leaving(network(), None) == []


def test_only_ready_pods_of_those_are_asked() -> None:
    pods = [pod("a"), pod("b", ready=False), pod("c", address=""), pod("d")]
    assert running(pods, ["a", "b", "c"]) == {"a": "10.0.0.1"}


NAMES = ["library-peer-2", "library-peer-3", "library-peer-4"]


@pytest.mark.parametrize(
    ("reports", "keep", "draining"),
    [
        (dict.fromkeys(NAMES, DONE), 0, []),
        ({}, 0, []),
        (dict.fromkeys(NAMES, BUSY), 5, NAMES),
        ({NAMES[0]: BUSY, NAMES[1]: DONE, NAMES[2]: DONE}, 3, [NAMES[0]]),
        ({NAMES[0]: DONE, NAMES[1]: None, NAMES[2]: DONE}, 4, [NAMES[1]]),
    ],
)
def test_peers_stay_until_they_have_nothing_unique(
    reports: dict[str, Report | None], keep: int, draining: list[str]
) -> None:
    found = decide(network({"peers": {"replicas": 2}}), NAMES, reports, NOW)
    assert (found.keep, list(found.since)) == (keep, draining)
    assert found.overdue == ""


def test_what_is_still_unique_is_told() -> None:
    found = decide(network(), ["library-peer-3"], {"library-peer-3": BUSY}, NOW)
    assert found == Decision(4, {"library-peer-3": NOW}, "4 files are only on library-peer-3", "")


def test_the_beginning_is_remembered_over_restarts() -> None:
    of = network({"peers": {"replicas": 2}}, {"draining": {"library-peer-2": NOW}})
    assert decide(of, NAMES[:1], {NAMES[0]: BUSY}, LATER).since == {"library-peer-2": NOW}


def test_after_the_deadline_it_goes_and_that_is_told() -> None:
    of = network({"peers": {"replicas": 2}}, {"draining": {"library-peer-2": NOW}})
    found = decide(of, NAMES[:1], {NAMES[0]: BUSY}, LATE)
    assert (found.keep, found.since) == (0, {})
    assert found.overdue == "4 files are only on library-peer-2"
