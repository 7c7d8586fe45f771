"""When an object may be made anew, and whose it is."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from minga_operator.children import check_owner, only_immutable, telling
from minga_operator.compare import stamped
from minga_operator.errors import NameTaken, Waiting
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
