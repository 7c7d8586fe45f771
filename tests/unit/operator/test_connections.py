"""Which nodes are asked whether they have their broker, and how long what they said holds."""

from __future__ import annotations

from typing import Any

from minga_operator.connections import Connections
from minga_operator.nodes import Nodes
from minga_operator.observed import Said
from tests.unit.operator.networks import network


class Answers(Nodes):
    """Nodes that answer what they are told to, by address."""

    def __init__(self, **said: Said | None) -> None:
        super().__init__()
        self.said, self.asked = said, list[str]()

    def broker(self, address: str) -> Said | None:
        self.asked.append(address)
        return self.said[address]


def pod(name: str, uid: str = "u", *, ready: bool = True, component: str = "peer") -> dict[str, Any]:
    metadata = {"name": name, "uid": uid, "labels": {"app.kubernetes.io/component": component}}
    condition = {"type": "Ready", "status": str(ready)}
    return {"metadata": metadata, "status": {"podIP": name, "conditions": [condition]}}


def test_who_is_well_is_asked_only_when_everybody_is() -> None:
    nodes = Answers(a=Said(True), b=Said(False, "refused"))
    found, pods = (
        Connections(nodes),
        [pod("a"), pod("b"), pod("c", ready=False), pod("d", component="broker")],
    )
    assert found.ask(network(), pods, everybody=False)
    assert nodes.asked == ["a", "b"]
    assert not found.ask(network(), pods, everybody=False), "no news"
    assert nodes.asked == ["a", "b", "b"]
    found.ask(network(), pods, everybody=True)
    assert sorted(nodes.asked[3:]) == ["a", "b"]


def test_it_is_said_how_long_it_has_been_so() -> None:
    now = 100.0
    nodes = Answers(a=Said(False, "refused"))
    found, pods = Connections(nodes, lambda: now), [pod("a")]
    found.ask(network(), pods, everybody=False)
    now = 130.0
    found.ask(network(), pods, everybody=False)
    assert found.said(network(), pods) == {"a": Said(False, "refused", 30.0)}
    nodes.said["a"] = Said(True)
    assert found.ask(network(), pods, everybody=False)
    assert found.said(network(), pods) == {"a": Said(True, "", 0.0)}


def test_what_a_pod_said_is_not_its_successors_word() -> None:
    nodes = Answers(a=Said(True))
    found = Connections(nodes)
    found.ask(network(), [pod("a", "first")], everybody=False)
    assert found.said(network(), [pod("a", "second")]) == {}
    assert found.said(network(), [pod("a", "first", ready=False)]) == {}


def test_one_that_does_not_answer_says_nothing_and_does_not_keep_others_from_being_asked() -> None:
    names = [f"n{number}" for number in range(9)]
    nodes = Answers(**{name: None if name < "n4" else Said(True) for name in names})
    now = 1.0
    found, pods = Connections(nodes, lambda: now), [pod(name) for name in names]
    for _ in range(4):
        found.ask(network(), pods, everybody=False)
        now += 1
    assert found.said(network(), pods).keys() == {"n4", "n5", "n6", "n7", "n8"}
    found.forget(network().key)
    assert found.said(network(), pods) == {}
