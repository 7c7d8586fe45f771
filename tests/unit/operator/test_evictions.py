"""Pods that were evicted."""

from __future__ import annotations

import datetime
from typing import Any

from minga_operator import status
from minga_operator.cache import Cache
from minga_operator.evictions import Eviction, Evictions
from minga_operator.kinds import POD
from minga_operator.observed import Observed
from tests.unit.operator.networks import NOW, network

KEY = ("shelf", "library")
MESSAGE = 'Usage of EmptyDir volume "data" exceeds the limit "20Mi".'


def pod(uid: str = "p-1", version: str = "5", **state: Any) -> dict[str, Any]:
    labels = {"app.kubernetes.io/instance": "library"}
    metadata = {"name": "library-peer-0", "namespace": "shelf", "labels": labels}
    return {
        "kind": "Pod",
        "metadata": metadata | {"uid": uid, "resourceVersion": version},
        "status": {"phase": "Failed", "reason": "Evicted", "message": MESSAGE} | state,
    }


def test_one_that_is_gone_before_anybody_looks_is_told_of_once() -> None:
    evictions = Evictions()
    cache = Cache(lambda _: None, evictions.notice)
    cache.told(POD, None, pod(version="4", phase="Running", reason=None))
    cache.told(POD, None, pod())
    cache.ended(POD, None, pod())
    assert evictions.untold(KEY) == [Eviction("library-peer-0", "p-1", MESSAGE)]
    assert evictions.untold(KEY) == []
    assert len(evictions.recent(KEY)) == 1
    # Its end may be all that the watch tells of it.
    cache.told(POD, None, pod("p-2", "6", phase="Running", reason=None))
    cache.ended(POD, None, pod("p-2", "7"))
    assert [item.uid for item in evictions.untold(KEY)] == ["p-2"]


def test_other_ends_are_none_and_an_hour_later_it_is_forgotten() -> None:
    now = 0.0
    evictions = Evictions(lambda: now)
    evictions.notice(pod(reason="Completed"))
    evictions.notice(pod(phase="Running"))
    assert evictions.recent(KEY) == []
    evictions.notice(pod())
    now = 3599
    assert evictions.recent(KEY)
    now = 3601
    assert evictions.recent(KEY) == []


def ended(**changes: Any) -> dict[str, Any]:
    """A pod whose node left in time and exited with 0."""
    found = pod(phase="Succeeded", reason=None, message=None) | {"spec": {"restartPolicy": "Always"}}
    return found | {key: found.get(key, {}) | value for key, value in changes.items()}


def test_one_that_stopped_in_time_has_no_reason_and_is_told_of_all_the_same() -> None:
    evictions = Evictions()
    cache = Cache(lambda _: None, evictions.notice)
    cache.told(POD, None, ended())
    deleted = {"deletionTimestamp": "2026-01-02T03:04:05Z", "resourceVersion": "6"}
    cache.told(POD, None, ended(metadata=deleted))
    cache.ended(POD, None, ended(metadata=deleted | {"resourceVersion": "7"}))
    (found,) = evictions.untold(KEY)
    assert (found.pod, found.uid) == ("library-peer-0", "p-1")
    assert "Events" in found.message


def test_its_message_is_that_of_the_disruption_where_there_is_one() -> None:
    evictions = Evictions()
    disruption = {
        "type": "DisruptionTarget",
        "status": "True",
        "message": "The node was low on resource: memory.",
    }
    evictions.notice(ended(status={"conditions": [{"type": "Ready", "status": "False"}, disruption]}))
    assert [item.message for item in evictions.recent(KEY)] == ["The node was low on resource: memory."]


def test_one_that_was_deleted_or_may_end_by_itself_is_none() -> None:
    evictions = Evictions()
    evictions.notice(ended(metadata={"deletionTimestamp": "2026-01-02T03:04:05Z"}))
    evictions.notice(ended(spec={"restartPolicy": "Never"}))
    assert evictions.recent(KEY) == []


def not_evicted(status_: dict[str, Any]) -> dict[str, Any]:
    (found,) = [item for item in status_["conditions"] if item["type"] == "NotEvicted"]
    return dict(found)


def test_the_condition_names_the_pod_and_outlives_the_operator() -> None:
    first = status.status(network(), None, Observed(evicted=[f"library-peer-0: {MESSAGE}"]), None, None, NOW)
    assert (not_evicted(first)["status"], not_evicted(first)["reason"]) == ("False", "Evicted")
    assert "library-peer-0" in not_evicted(first)["message"]
    soon, late = "2026-01-02T03:34:05Z", "2026-01-02T04:34:05Z"
    again = status.status(network(status=first), None, Observed(), None, None, soon)
    assert not_evicted(again) == not_evicted(first)
    over = status.status(network(status=first), None, Observed(), None, None, late)
    assert not_evicted(over)["status"] == "True"


def killed(at: str, **state: Any) -> dict[str, Any]:
    """A pod of which a container was killed for lack of memory, and runs again."""
    last = {"terminated": {"reason": "OOMKilled", "exitCode": 137, "finishedAt": at}}
    container = {"name": "node", "state": {"running": {}}, "lastState": last} | state
    return pod(phase="Running", reason=None, message=None, containerStatuses=[container])


def test_a_container_that_was_killed_for_lack_of_memory_is_told_once_and_is_no_eviction() -> None:
    moment = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)
    evictions = Evictions(now=lambda: moment)
    for _ in range(2):
        evictions.notice(killed("2026-01-02T03:04:00Z"))
    (found,) = evictions.untold(KEY)
    assert (found.pod, found.reason) == ("library-peer-0", "PodOOMKilled")
    assert "node was killed for lack of memory" in found.message
    assert evictions.untold(KEY) == []
    assert evictions.recent(KEY) == []
    # The next time is another one; what happened before this operator began to look is not.
    evictions.notice(killed("2026-01-02T03:04:05Z"))
    evictions.notice(killed("2026-01-02T02:04:05Z"))
    assert len(evictions.untold(KEY)) == 1
