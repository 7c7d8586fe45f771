"""Whether volumes can become what the spec says."""

from __future__ import annotations

from typing import Any

import pytest

from minga_operator.podspec import Storage
from minga_operator.resizing import Resize, decide, keeping
from minga_operator.resources import workload
from tests.unit.operator.networks import live, network, plan


def peers(**storage: Any) -> dict[str, Any]:
    of = network({"peers": {"storage": storage}})
    return live(workload.peers(of, plan(of)))


def claim(name: str, size: str) -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": {"resources": {"requests": {"storage": size}}}}


CLAIMS = [
    claim("data-library-peer-0", "10Gi"),
    claim("data-library-peer-1", "20Gi"),
    claim("data-library-seed-0", "1Gi"),
]


@pytest.mark.parametrize(
    ("wanted", "live_storage", "expected"),
    [
        (Storage(size="10Gi"), {"size": "10Gi"}, Resize((), "10Gi")),
        (Storage(size="20Gi"), {"size": "10Gi"}, Resize(("data-library-peer-0",), "20Gi")),
        (
            Storage(size="30Gi"),
            {"size": "20Gi"},
            Resize(("data-library-peer-0", "data-library-peer-1"), "30Gi"),
        ),
        (
            Storage(size="5Gi"),
            {"size": "10Gi"},
            Resize(keep=Storage(size="10Gi"), why="have 10Gi and cannot shrink to 5Gi"),
        ),
        (Storage(size="10240Mi"), {"size": "10Gi"}, Resize((), "10240Mi")),
        (
            Storage(size="20Gi", ephemeral=True),
            {"size": "10Gi"},
            Resize(keep=Storage(size="10Gi"), why="are volumes and cannot become ephemeral"),
        ),
        (
            Storage(size="20Gi"),
            {"ephemeral": True},
            Resize(keep=Storage(size="20Gi", ephemeral=True), why="are ephemeral and cannot become volumes"),
        ),
        (
            Storage(size="20Gi", storage_class_name="fast"),
            {"size": "10Gi"},
            Resize(keep=Storage(size="10Gi"), why="are of the class the default and cannot become fast"),
        ),
        (Storage(size="2Gi", ephemeral=True), {"ephemeral": True, "size": "1Gi"}, Resize()),
    ],
)
def test_what_is_done_about_a_size(wanted: Storage, live_storage: dict[str, Any], expected: Resize) -> None:
    assert decide(wanted, peers(**live_storage), CLAIMS) == expected


def test_a_new_group_has_nothing_to_resize() -> None:
    assert decide(Storage(size="1Gi"), None, CLAIMS) == Resize()


@pytest.mark.parametrize("component", ["seed", "peer", "broker"])
def test_the_rest_of_the_spec_holds_when_a_storage_cannot(component: str) -> None:
    of = network({"peers": {"replicas": 5}})
    found = keeping(of, component, Storage(size="7Gi")).spec
    sizes = {
        "seed": found.seeds.storage.size,
        "peer": found.peers.storage.size,
        "broker": found.broker.managed.storage.size if found.broker.managed else None,
    }
    assert {name for name, size in sizes.items() if size == "7Gi"} == {component}
    assert found.peers.replicas == 5
