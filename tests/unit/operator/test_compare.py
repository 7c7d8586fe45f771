"""Whether a live object is as wanted."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from minga_operator.compare import APPLIED, differences, projection, settled, stamped

WANTED: dict[str, Any] = {
    "metadata": {"name": "x", "labels": {"a": "b"}},
    "spec": {
        "replicas": 3,
        "containers": [{"name": "node", "image": "n:1", "args": ["--config", "c"]}],
        "ports": [{"port": 1}],
    },
}


def live(**spec: Any) -> dict[str, Any]:
    found = copy.deepcopy(WANTED)
    found["spec"] |= spec
    return found


def test_what_others_add_is_theirs() -> None:
    found = live()
    found["metadata"]["labels"]["other"] = "c"
    found["metadata"]["resourceVersion"] = "1"
    found["spec"]["containers"][0]["terminationMessagePath"] = "/dev/termination-log"
    found["spec"]["containers"].insert(0, {"name": "sidecar", "image": "s"})
    found["status"] = {}
    assert settled(WANTED, found)


@pytest.mark.parametrize(
    "found",
    [
        live(replicas=2),
        live(containers=[{"name": "node", "image": "n:2", "args": ["--config", "c"]}]),
        live(containers=[{"name": "node", "image": "n:1", "args": ["--config"]}]),
        live(containers=[{"name": "sidecar"}]),
        live(ports=[{"port": 1}, {"port": 2}]),
        live(ports=[]),
        {"metadata": {"name": "x", "labels": {}}, "spec": WANTED["spec"]},
    ],
)
def test_drift_is_seen(found: dict[str, Any]) -> None:
    assert not settled(WANTED, found)


def test_a_field_that_is_no_longer_wanted_shows_by_the_stamp() -> None:
    before = stamped({**WANTED, "extra": {"field": 1}})
    assert not settled(stamped(WANTED), before)
    assert settled(stamped(WANTED), stamped(WANTED))


def test_a_stamp_changes_nothing_else() -> None:
    content = copy.deepcopy(WANTED)
    found = stamped(content)
    assert content == WANTED
    assert len(found["metadata"]["annotations"].pop(APPLIED)) == 16


def test_a_missing_field_differs_from_null() -> None:
    assert projection({"a": None}, {}) != {"a": None}


def test_differences_are_named_by_their_fields() -> None:
    assert differences(WANTED, live()) == []
    assert differences(WANTED, live(replicas=2, ports=[{"port": 2}])) == ["spec.replicas", "spec.ports"]
    assert differences({"data": {"peer.json": "a"}}, {"data": {}}) == ["data.peer.json"]
