"""When an object may be made anew, and whose it is."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from minga_operator.cache import Cache
from minga_operator.children import Children, check_owner, only_immutable, telling
from minga_operator.compare import owner, stamped
from minga_operator.errors import NameTaken, Waiting
from minga_operator.kinds import BY_NAME, ObjectKind
from minga_operator.resources import access, config
from tests.unit.operator.networks import TOKENS, network, plan

FIXED = (
    "spec: Forbidden: updates to statefulset spec for fields other than 'replicas', 'template' are forbidden"
)


@pytest.mark.parametrize(
    ("message", "anew"),
    [
        (f'StatefulSet.apps "x" is invalid: {FIXED}', True),
        ('DaemonSet.apps "x" is invalid: spec.selector: Invalid value: {}: field is immutable', True),
        ('StatefulSet.apps "x" is invalid: spec.template.spec.affinity: Required value', False),
        (f'StatefulSet.apps "x" is invalid: [{FIXED}, spec.template.spec.affinity: Required value]', False),
    ],
)
def test_only_for_a_field_that_cannot_change_and_nothing_else(message: str, anew: bool) -> None:
    assert only_immutable(message) is anew


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        (["metadata.annotations.minga.dev/rendered"], ""),
        (["metadata.annotations.minga.dev/rendered", "spec.replicas"], "spec.replicas"),
        (
            ["metadata.annotations.minga.dev/template-digest", "spec.replicas", "spec.template.metadata"],
            "spec.replicas, spec.template.metadata (its pods are replaced)",
        ),
        (["metadata.annotations.example.com/a"], "metadata.annotations.example.com/a"),
    ],
)
def test_a_plan_says_what_concerns_people(fields: list[str], told: str) -> None:
    assert telling(fields) == told


def left(change: Callable[[dict[str, Any]], object] = lambda metadata: None) -> dict[str, Any]:
    """A ConfigMap of an earlier network of this name that kept no owner, with a change of its metadata."""
    of = network()
    found = copy.deepcopy(stamped(config.config_map(of, plan(of))))
    del found["metadata"]["ownerReferences"]
    change(found["metadata"])
    return found


def test_what_a_network_of_this_name_left_behind_is_its_own_again() -> None:
    check_owner(network(), left())
    secret = access.new_tokens(network(), TOKENS)
    del secret["metadata"]["ownerReferences"]
    check_owner(network(), secret, made_once=True)


@pytest.mark.parametrize(
    "change",
    [
        lambda metadata: metadata.pop("annotations"),
        lambda metadata: metadata.pop("labels"),
        lambda metadata: metadata["labels"].update({"app.kubernetes.io/instance": "other"}),
        lambda metadata: metadata["labels"].update({"app.kubernetes.io/managed-by": "Helm"}),
        lambda metadata: metadata.update(ownerReferences=[{"controller": True, "kind": "App", "uid": "x"}]),
    ],
)
def test_what_somebody_else_made_or_has_is_not_taken(change: Callable[[dict[str, Any]], object]) -> None:
    with pytest.raises(NameTaken, match="ConfigMap library-config"):
        check_owner(network(), left(change))


def test_what_is_on_its_way_out_is_waited_for() -> None:
    with pytest.raises(Waiting):
        check_owner(
            network(), left(lambda metadata: metadata.update(deletionTimestamp="2026-01-02T03:04:05Z"))
        )
    earlier = [{"controller": True, "kind": "P2PNetwork", "name": "library", "uid": "u-0"}]
    with pytest.raises(Waiting):
        check_owner(network(), left(lambda metadata: metadata.update(ownerReferences=earlier)))


class Deleting:
    """The one method of the API that pruning needs; remembers what it was asked to delete."""

    def __init__(self) -> None:
        self.deleted: list[str] = []

    def delete(self, kind: ObjectKind, live: dict[str, Any], **_: object) -> None:
        self.deleted.append(f"{kind.name} {live['metadata']['name']}")


def here(name: str, owners: list[dict[str, Any]]) -> dict[str, Any]:
    """A ConfigMap in the cluster that has our labels, of these owners."""
    of = network()
    found = copy.deepcopy(stamped(config.config_map(of, plan(of))))
    found["metadata"] |= {"name": name, "ownerReferences": owners, "resourceVersion": "1", "uid": name}
    return found


def reference(uid: str, *, controller: bool = True) -> dict[str, Any]:
    return {
        "apiVersion": "minga.dev/v1alpha1",
        "kind": "P2PNetwork",
        "name": "x",
        "uid": uid,
        "controller": controller,
    }


def test_pruning_deletes_what_this_network_controls_and_nothing_else() -> None:
    of, kube, cache = network(), Deleting(), Cache(lambda _key: None)
    owners = {
        "left-over": [reference(of.uid)],
        "wanted": [reference(of.uid)],
        "of-another-network": [reference("another")],
        "of-nobody": [],
        "merely-referred-to": [reference("another"), reference(of.uid, controller=False)],
    }
    cache.listed(BY_NAME["ConfigMap"], None, [here(name, of_it) for name, of_it in owners.items()], 1)
    children = Children(kube, cache)  # type: ignore[arg-type]
    wanted = [{"kind": "ConfigMap", "metadata": {"name": "wanted"}}]
    assert children.prune(of, wanted, [("ConfigMap", "spared")]) == 1
    assert kube.deleted == ["ConfigMap left-over"]


def test_the_owner_is_the_controller_and_no_other_reference() -> None:
    assert owner(here("a", [reference("one", controller=False), reference("two")])) == reference("two")
    assert owner(here("a", [reference("one", controller=False)])) is None
