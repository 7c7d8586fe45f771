"""Who may talk to whom: the policies and pods that are made, judged by the specification of NetworkPolicy."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

import pytest

from minga_operator.network import parse
from minga_operator.resources import desired
from tests.policies import Pod, admitted
from tests.unit.operator.networks import network, plan

REST, GRPC, DATA, AMQP, METRICS, EPMD, CLUSTER, SSH = 5000, 50051, 50052, 5672, 15692, 4369, 25672, 22
PORTS = (REST, GRPC, DATA, AMQP, METRICS, EPMD, CLUSTER, SSH)
SPEC: dict[str, Any] = {"broker": {"managed": {"replicas": 3}}, "labels": {"team": "a"}}
STRANGER = Pod("shelf", {"app": "shop"})


def objects(spec: dict[str, Any], name: str = "library") -> list[dict[str, Any]]:
    metadata = {"name": name, "namespace": "shelf", "uid": f"u-{name}", "generation": 1}
    of = parse({"metadata": metadata, "spec": spec})
    return desired(of, plan(of))


def pods(items: list[dict[str, Any]]) -> dict[str, Pod]:
    """By component: seed, peer, broker."""
    workloads = [item for item in items if item["kind"] in {"StatefulSet", "DaemonSet"}]
    return {item["metadata"]["labels"]["app.kubernetes.io/component"]: Pod.of(item) for item in workloads}


def policies(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [item for item in items if item["kind"] == "NetworkPolicy"]


def everybody(items: list[dict[str, Any]]) -> dict[str, Pod]:
    """The network's own pods, one of another network beside it, its double elsewhere, and a stranger."""
    own = pods(items)
    other = pods(objects(SPEC, "attic"))
    return {
        **own,
        "another network's peer": other["peer"],
        "another network's broker": other["broker"],
        "a peer of that name elsewhere": replace(own["peer"], namespace="elsewhere"),
        "stranger": STRANGER,
    }


NODES = {"seed", "peer"}
ANYBODY = NODES | {
    "broker",
    "another network's peer",
    "another network's broker",
    "a peer of that name elsewhere",
    "stranger",
}
ALLOWED: dict[str, dict[int, set[str]]] = {
    "seed": {REST: ANYBODY, GRPC: NODES, DATA: NODES},
    "peer": {REST: ANYBODY, GRPC: NODES, DATA: NODES},
    "broker": {AMQP: NODES, METRICS: ANYBODY, EPMD: {"broker"}, CLUSTER: {"broker"}},
}


@pytest.mark.parametrize("mode", ["StatefulSet", "DaemonSet"])
@pytest.mark.parametrize(("receiver", "port"), list(product(ALLOWED, PORTS)))
def test_a_port_is_open_to_those_who_need_it(receiver: str, port: int, mode: str) -> None:
    # Both networks have their policies: neither may open what the other closes.
    items = objects({**SPEC, "peers": {"mode": mode}})
    made = policies(items) + policies(objects(SPEC, "attic"))
    people = everybody(items)
    through = {name for name, sender in people.items() if admitted(made, sender, people[receiver], port)}
    assert through == ALLOWED[receiver].get(port, set())


def test_pods_of_others_are_left_alone() -> None:
    items = objects(SPEC)
    for sender, port in product(everybody(items).values(), PORTS):
        assert admitted(policies(items), sender, STRANGER, port)


def test_without_policies_everybody_may() -> None:
    items = objects({**SPEC, "networkPolicy": {"enabled": False}})
    assert policies(items) == []
    assert admitted(policies(items), STRANGER, pods(items)["broker"], AMQP)


@pytest.mark.parametrize(
    "broker",
    [{"external": {"secretName": "ours"}}, {"cluster": {"name": "rabbit"}}],
    ids=["external", "cluster"],
)
def test_without_a_broker_of_ours_its_policy_is_not_made(broker: dict[str, Any]) -> None:
    of = network({"broker": broker})
    names = [item["metadata"]["name"] for item in policies(desired(of, plan(of)))]
    assert names == ["library-nodes"]
