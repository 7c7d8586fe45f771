"""What Events say of workloads and pods, and when it is over."""

from __future__ import annotations

from typing import Any

import pytest

from minga_operator.troubles import fresh, hangs, lacking, refusal, trouble, unmounted
from tests.unit.operator.networks import NOW

EARLIER, LATER = "2026-01-02T03:00:00Z", "2026-01-02T03:03:00Z"
QUOTA = 'pods "library-peer-0" is forbidden: exceeded quota: small, requested: pods=1, used: pods=2'


def event(reason: str, note: str, at: str = LATER, **more: Any) -> dict[str, Any]:
    """As controllers write it by the old API."""
    return {"reason": reason, "note": note, "eventTime": None, "deprecatedLastTimestamp": at} | more


def made(at: str) -> dict[str, Any]:
    return {"metadata": {"name": "p", "creationTimestamp": at}}


@pytest.mark.parametrize(
    "note",
    [
        f"create Pod library-peer-0 in StatefulSet library-peer failed error: {QUOTA}",
        f"Error creating: {QUOTA}",
    ],
    ids=["StatefulSet", "DaemonSet"],
)
def test_the_api_servers_words_are_taken(note: str) -> None:
    assert refusal([event("FailedCreate", note)], []) == QUOTA


def test_the_newest_counts_and_what_was_before_the_youngest_pod_is_over() -> None:
    events = [
        event("FailedCreate", "error: old", EARLIER),
        event("FailedCreate", "error: new"),
        event("X", "y"),
    ]
    assert refusal(events, []) == "new"
    assert refusal(events, [made("2026-01-02T03:01:00Z")]) == "new"
    assert refusal(events, [made("2026-01-02T03:03:30Z")]) == ""


def test_a_series_tells_when_it_was_last() -> None:
    series = {"series": {"count": 3, "lastObservedTime": "2026-01-02T03:03:59.123456Z"}}
    event_ = event("FailedCreate", "error: again", EARLIER, **series)
    assert refusal([event_], [made(LATER)]) == "again"


def test_only_volumes_keep_a_container_from_being_made() -> None:
    note = 'MountVolume.SetUp failed for volume "x" : secret "y" not found'
    assert unmounted([event("FailedMount", note), event("BackOff", "other")]) == note


def creating(at: str) -> dict[str, Any]:
    waiting = {"state": {"waiting": {"reason": "ContainerCreating"}}}
    return made(at) | {"status": {"containerStatuses": [waiting]}}


def test_a_pod_hangs_only_after_a_while() -> None:
    young, old = creating("2026-01-02T03:04:00Z"), creating(LATER)
    assert (hangs(young, NOW), fresh(young, NOW)) == (False, True)
    assert (hangs(old, NOW), fresh(old, NOW)) == (True, False)
    assert trouble(old, NOW) == ""
    assert trouble(old, NOW, "no such Secret") == "p: no such Secret"
    assert trouble(young, NOW, "no such Secret") == ""


@pytest.mark.parametrize(
    ("live", "expected"),
    [
        (None, False),
        ({"kind": "StatefulSet", "spec": {"replicas": 3}, "status": {"replicas": 3}}, False),
        ({"kind": "StatefulSet", "spec": {"replicas": 3}, "status": {"replicas": 2}}, True),
        ({"kind": "StatefulSet", "spec": {"replicas": 3}}, True),
        ({"kind": "DaemonSet", "spec": {}, "status": {"desiredNumberScheduled": 2}}, True),
        (
            {
                "kind": "DaemonSet",
                "spec": {},
                "status": {"desiredNumberScheduled": 2, "currentNumberScheduled": 2},
            },
            False,
        ),
    ],
)
def test_a_workload_lacks_pods(live: dict[str, Any] | None, expected: bool) -> None:
    assert lacking(live) is expected
