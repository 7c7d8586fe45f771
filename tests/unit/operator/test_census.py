"""Every network is counted, whatever is wrong with it."""

from __future__ import annotations

from prometheus_client import generate_latest

from minga_operator import metrics
from minga_operator.census import standing


def body(name: str, **conditions: str) -> dict[str, object]:
    items = [{"type": kind, "status": state} for kind, state in conditions.items()]
    return {
        "metadata": {"namespace": "shelf", "name": name},
        "spec": {"seeds": "no spec that anybody can read"},
        "status": {"conditions": items},
    }


def test_each_condition_of_each_network_is_there_also_of_one_that_cannot_be_read() -> None:
    found = standing([body("broken", Ready="False", Stalled="True"), body("library", Ready="True")])
    assert found == {
        ("shelf", "broken", "Ready", "False"),
        ("shelf", "broken", "Stalled", "True"),
        ("shelf", "library", "Ready", "True"),
    }


def test_one_that_nobody_has_seen_is_not_known_to_be_ready() -> None:
    new = {"metadata": {"namespace": "shelf", "name": "new"}, "status": {"observedGeneration": -1}}
    assert standing([new]) == {("shelf", "new", "Ready", "Unknown")}


def test_what_is_over_is_no_sample_any_more() -> None:
    metrics.tell_networks(standing([body("a", Ready="False"), body("gone", Ready="True")]))
    metrics.tell_networks(standing([body("a", Ready="True")]))
    lines = [
        line
        for line in generate_latest().decode().splitlines()
        if line.startswith("minga_operator_networks{")
    ]
    wanted = 'condition="Ready",network="a",network_namespace="shelf",status="True"'
    assert lines == [f"minga_operator_networks{{{wanted}}} 1.0"]
    metrics.tell_networks(set())
