"""Reconciling and Stalled, as kstatus understands them; and what takes time before it is said."""

from __future__ import annotations

from typing import Any

import pytest

from minga_operator import status
from minga_operator.errors import InternalError, InvalidSpec, MissingSecret, NameTaken, OperatorError, Waiting
from minga_operator.observed import Observed, Said
from tests.unit.operator.networks import NOW, network, plan
from tests.unit.operator.test_status import healthy, peers, pod, waiting

BROKEN = healthy(peers=peers(ready=2), pods=[pod("peer", waiting("ErrImagePull"))])
SECONDS_9, MINUTES_11 = "2026-01-02T03:04:14Z", "2026-01-02T03:15:06Z"


def conditions(
    observed: Observed,
    error: OperatorError | None = None,
    broker: OperatorError | None = None,
    *,
    spec: dict[str, Any] | None = None,
    before: dict[str, Any] | None = None,
    now: str = NOW,
) -> dict[str, dict[str, Any]]:
    of = network(spec, before)
    found = status.status(of, plan(of), observed, error, broker, now)
    return {item["type"]: item for item in found["conditions"]}


def trio(found: dict[str, dict[str, Any]]) -> tuple[str, ...]:
    return tuple(found[kind]["status"] for kind in ("Ready", "Reconciling", "Stalled"))


@pytest.mark.parametrize(
    ("observed", "error", "expected"),
    [
        (healthy(), None, ("True", "False", "False")),
        (Observed(), None, ("False", "True", "False")),
        (healthy(peers=peers(ready=1)), None, ("False", "True", "False")),
        (healthy(), Waiting("Service x is still being deleted"), ("False", "True", "False")),
        # At once, for no waiting helps.
        (healthy(), NameTaken("Service library is somebody else's"), ("False", "False", "True")),
        (healthy(), InvalidSpec("spec.seeds: no"), ("False", "False", "True")),
        # What may mend itself has its time: a Secret of the same commit, an image that is being pushed.
        (BROKEN, None, ("False", "True", "False")),
    ],
)
def test_one_of_the_three_is_so(
    observed: Observed, error: OperatorError | None, expected: tuple[str, ...]
) -> None:
    assert trio(conditions(observed, error)) == expected


@pytest.mark.parametrize(
    ("error", "now", "expected"),
    [
        (InvalidSpec("spec.seeds: no"), NOW, ("False", "False", "True")),
        (InternalError(KeyError("x")), NOW, ("False", "True", "False")),
        (InternalError(KeyError("x")), MINUTES_11, ("False", "False", "True")),
    ],
)
def test_it_is_so_also_when_the_status_cannot_be_told(
    error: OperatorError, now: str, expected: tuple[str, ...]
) -> None:
    before = status.status(network(), plan(network()), healthy(), None, None, NOW)
    before = before | status.defect(before, 7, error, NOW)
    found = {item["type"]: item for item in status.defect(before, 8, error, now)["conditions"]}
    assert trio(found) == expected
    assert found["SeedsReady"]["observedGeneration"] == 7
    for kind in ("Ready", "Reconciling", "Stalled", "Reconciled"):
        assert (found[kind]["reason"], found[kind]["observedGeneration"]) == (error.reason, 8)


def test_what_does_not_mend_itself_within_ten_minutes_is_stalled() -> None:
    of = network()
    before = status.status(of, plan(of), BROKEN, None, None, NOW)
    assert trio(conditions(BROKEN, before=before, now=SECONDS_9)) == ("False", "True", "False")
    late = conditions(BROKEN, before=before, now=MINUTES_11)
    assert trio(late) == ("False", "False", "True")
    assert late["Stalled"]["reason"] == "PodsInTrouble"
    assert "ErrImagePull" in late["Stalled"]["message"]
    # A rollout, or peers that drain, may take as long as they like.
    slow = healthy(peers=peers(updated=1))
    before = status.status(of, plan(of), slow, None, None, NOW)
    assert trio(conditions(slow, before=before, now=MINUTES_11)) == ("False", "True", "False")


def test_a_missing_secret_of_the_broker_has_its_time_too() -> None:
    of, error = network(), MissingSecret("Secret ours is needed")
    before = status.status(of, plan(of), healthy(), None, error, NOW)
    assert trio(conditions(healthy(), None, error, before=before, now=SECONDS_9)) == (
        "False",
        "True",
        "False",
    )
    assert trio(conditions(healthy(), None, error, before=before, now=MINUTES_11)) == (
        "False",
        "False",
        "True",
    )


def test_a_paused_network_is_neither() -> None:
    found = conditions(healthy(), spec={"paused": True})
    assert trio(found) == ("Unknown", "False", "False")


def test_every_condition_says_which_generation_it_is_about() -> None:
    assert {item["observedGeneration"] for item in conditions(healthy()).values()} == {7}


def test_a_node_that_has_just_been_started_does_not_make_the_broker_unready() -> None:
    of = network()
    before = status.status(of, plan(of), healthy(), None, None, NOW)
    for seconds, expected in ((5.0, "True"), (25.0, "False")):
        observed = healthy(said={"library-seed-0": Said(True), "library-peer-0": Said(False, "", seconds)})
        found = conditions(observed, before=before)
        assert (found["BrokerReady"]["status"], found["Ready"]["status"]) == (expected, expected)
