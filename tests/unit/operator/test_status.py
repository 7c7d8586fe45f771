"""From what there is to conditions."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from minga_operator import status
from minga_operator.errors import MissingSecret, NameTaken
from minga_operator.observed import Observed, Said
from minga_operator.resources import workload
from minga_operator.resources.broker import objects
from tests.unit.operator.networks import NOW, live, network, plan


def healthy(spec: dict[str, Any] | None = None, **changes: Any) -> Observed:
    of = network(spec)
    decided = plan(of)
    managed = of.spec.broker.managed
    values: dict[str, Any] = {
        "seeds": live(workload.seeds(of, decided)),
        "peers": live(workload.peers(of, decided)),
        "broker": live(objects(of, managed, decided)[-1]) if managed else None,
        "said": {"library-seed-0": Said(True)},
    }
    return Observed(**values | changes)


def peers(**changes: Any) -> dict[str, Any]:
    of = network()
    return live(workload.peers(of, plan(of)), **changes)


def pod(component: str, state: dict[str, Any]) -> dict[str, Any]:
    labels = {"app.kubernetes.io/component": component}
    return {"metadata": {"name": f"library-{component}-2", "labels": labels}, "status": state}


def waiting(reason: str, message: str = "") -> dict[str, Any]:
    return {"containerStatuses": [{"state": {"waiting": {"reason": reason, "message": message}}}]}


def seeds(**changes: Any) -> dict[str, Any]:
    of = network()
    return live(workload.seeds(of, plan(of)), **changes)


def lacking() -> dict[str, Any]:
    """Peers of which none was made."""
    found = peers(ready=0)
    return found | {"status": found["status"] | {"replicas": 0}}


UNSCHEDULED = {"conditions": [{"type": "PodScheduled", "status": "False", "message": "0/3 nodes fit"}]}
JUST_NOW = {
    "type": "PodScheduled",
    "status": "False",
    "message": "a node's cache is behind",
    "lastTransitionTime": "2026-01-02T03:04:00Z",
}
KILLED = {"terminated": {"reason": "OOMKilled", "exitCode": 137}}
OUT_OF_MEMORY = {
    "containerStatuses": [
        {
            "name": "node",
            "ready": False,
            "restartCount": 3,
            "state": {"waiting": {"reason": "CrashLoopBackOff"}},
            "lastState": KILLED,
        }
    ]
}


@pytest.mark.parametrize(
    ("observed", "kind", "state", "reason", "message"),
    [
        (healthy(), "Ready", "True", "Ready", "All seeds, peers and the broker are ready"),
        (healthy(), "PeersReady", "True", "AllReady", "3 of 3 peers are ready"),
        (Observed(), "Ready", "False", "Missing", "The seeds are being made"),
        (healthy(peers=peers(ready=1)), "PeersReady", "False", "WaitingForPods", "1 of 3 peers are ready"),
        (healthy(peers=peers(ready=1)), "Ready", "False", "WaitingForPods", "1 of 3 peers are ready"),
        (healthy(peers=peers(updated=1)), "PeersReady", "False", "RollingOut", "is being rolled out"),
        (
            healthy(peers=peers(ready=2), pods=[pod("peer", waiting("ImagePullBackOff", "no such image"))]),
            "PeersReady",
            "False",
            "PodsInTrouble",
            "library-peer-2: ImagePullBackOff: no such image",
        ),
        (
            healthy(peers=peers(ready=2), pods=[pod("peer", {"conditions": [JUST_NOW]})]),
            "PeersReady",
            "False",
            "WaitingForPods",
            "2 of 3 peers are ready",
        ),
        (
            healthy(
                peers=peers(ready=2),
                pods=[pod("peer", waiting("ContainerCreating"))],
                unmounted={"library-peer-2": 'MountVolume.SetUp failed for volume "tokens"'},
            ),
            "PeersReady",
            "False",
            "PodsInTrouble",
            'library-peer-2: MountVolume.SetUp failed for volume "tokens"',
        ),
        (
            healthy(peers=peers(ready=2), pods=[pod("peer", OUT_OF_MEMORY)]),
            "PeersReady",
            "False",
            "PodsInTrouble",
            "library-peer-2: node was killed for lack of memory (3 restarts)",
        ),
        (
            healthy(peers=lacking(), refused={"peer": "exceeded quota: pods=2"}),
            "Ready",
            "False",
            "PodsRefused",
            "0 of 3 peers are ready; StatefulSet library-peer gets no more pods: exceeded quota: pods=2",
        ),
        # What was said before they were made is over.
        (
            healthy(peers=peers(ready=1), refused={"peer": "x"}),
            "PeersReady",
            "False",
            "WaitingForPods",
            "1 of 3",
        ),
        (
            healthy(seeds=seeds(ready=0), peers=peers(ready=0)),
            "PeersReady",
            "False",
            "WaitingForSeeds",
            "0 of 3 peers are ready; peers join through a seed, and none is ready",
        ),
        (
            healthy(seeds=seeds(ready=0), peers=peers(ready=0), pods=[pod("peer", waiting("ErrImagePull"))]),
            "PeersReady",
            "False",
            "PodsInTrouble",
            "ErrImagePull",
        ),
        (healthy(seeds=seeds(ready=0)), "PeersReady", "True", "AllReady", "3 of 3 peers are ready"),
        (healthy(said={}), "BrokerReady", "Unknown", "WaitingForNodes", "no node is ready"),
        (
            healthy(said={"library-seed-0": Said(True), "library-peer-1": Said(False, "connection refused")}),
            "BrokerReady",
            "False",
            "WaitingForNodes",
            "1 of 2 nodes are not connected to the broker; library-peer-1: connection refused",
        ),
        (
            healthy(said={"library-seed-0": Said(False, "it refuses the user", 60.0)}),
            "Ready",
            "False",
            "NodesDisconnected",
            "1 of 1 nodes are not connected to the broker; library-seed-0: it refuses the user",
        ),
        (
            healthy(peers=peers(ready=2), pods=[pod("peer", UNSCHEDULED)]),
            "Ready",
            "False",
            "PodsInTrouble",
            "library-peer-2 cannot be scheduled: 0/3 nodes fit",
        ),
        (
            healthy(peers=peers(ready=2), pods=[pod("seed", waiting("CrashLoopBackOff"))]),
            "PeersReady",
            "False",
            "WaitingForPods",
            "2 of 3",
        ),
        (
            healthy(draining={"library-seed-1": NOW}),
            "SeedsReady",
            "False",
            "Draining",
            "library-seed-1 drain before they go: they hand over",
        ),
        (healthy(draining={"library-seed-1": NOW}), "PeersReady", "True", "AllReady", "3 of 3"),
        (healthy(broker=None), "BrokerReady", "False", "Missing", "broker pods are being made"),
        (
            healthy(
                draining={"library-peer-2": NOW}, drain_notes={"library-peer-2": "4 files are only there"}
            ),
            "PeersReady",
            "False",
            "Draining",
            "library-peer-2 drain before they go: 4 files are only there",
        ),
    ],
)
def test_conditions(observed: Observed, kind: str, state: str, reason: str, message: str) -> None:
    of = network()
    found = status.status(of, plan(of), observed, None, None, NOW)
    condition = next(item for item in found["conditions"] if item["type"] == kind)
    assert (condition["status"], condition["reason"]) == (state, reason)
    assert message in condition["message"]
    assert condition["observedGeneration"] == 7


def test_all_conditions_are_always_there() -> None:
    of = network()
    found = status.status(of, None, Observed(), None, None, NOW)
    assert [item["type"] for item in found["conditions"]] == list(status.TYPES)


def test_an_error_is_said_by_reconciled_and_ready() -> None:
    of = network()
    error = NameTaken("Service library exists and is not this network's")
    found = status.status(of, None, healthy(), error, None, NOW)
    by_type = {item["type"]: item for item in found["conditions"]}
    for kind in ("Ready", "Reconciled"):
        assert (by_type[kind]["status"], by_type[kind]["reason"]) == ("False", "NameTaken")
        assert "Service library" in by_type[kind]["message"]
    assert by_type["SeedsReady"]["status"] == "True"
    assert found["phase"] == "Degraded"


def test_a_paused_network_claims_nothing_and_says_what_would_change() -> None:
    before = status.status(network(), plan(network()), healthy(), None, None, NOW)
    of = replace(network({"paused": True}, before), generation=8)
    found = status.status(of, None, healthy(pending=["ConfigMap library-config is made"]), None, None, NOW)
    by_type = {item["type"]: item for item in found["conditions"]}
    for kind in ("Ready", "Reconciled"):
        assert (by_type[kind]["status"], by_type[kind]["reason"]) == ("Unknown", "Paused")
        assert "ConfigMap library-config is made" in by_type[kind]["message"]
        assert by_type[kind]["observedGeneration"] == 7
    assert found["observedGeneration"] == 7
    assert (by_type["Paused"]["status"], by_type["Paused"]["observedGeneration"]) == ("True", 8)
    # What is not well is still said first.
    broken = status.status(of, None, healthy(peers=peers(ready=1)), None, None, NOW)
    assert broken["conditions"][0]["reason"] == "WaitingForPods"


def test_a_paused_network_says_all_of_a_plan_that_rolls_every_pod() -> None:
    digests = "metadata.annotations.minga.dev/template-digest, metadata.annotations.minga.dev/rendered"
    plan_ = [
        f"StatefulSet library-{what}: {digests}, spec.template.metadata"
        for what in ("seed", "peer", "broker")
    ]
    observed = Observed(pending=[*plan_, "Ingress library is deleted"])
    found = status.status(network({"paused": True}), None, observed, None, None, NOW)
    (item,) = [item for item in found["conditions"] if item["type"] == "Reconciled"]
    assert item["message"].endswith("Ingress library is deleted")


def test_a_network_that_was_born_paused_has_observed_nothing() -> None:
    found = status.status(network({"paused": True}), None, Observed(), None, None, NOW)
    assert "observedGeneration" not in found
    (reconciled,) = [item for item in found["conditions"] if item["type"] == "Reconciled"]
    assert "observedGeneration" not in reconciled


def test_a_missing_broker_secret_names_the_secret() -> None:
    of = network({"broker": {"external": {"secretName": "ours"}}})
    error = MissingSecret("Secret ours is needed for the broker, and it does not exist")
    found = status.status(
        of, plan(of), healthy({"broker": {"external": {"secretName": "ours"}}}), None, error, NOW
    )
    broker = next(item for item in found["conditions"] if item["type"] == "BrokerReady")
    assert (broker["status"], broker["reason"]) == ("False", "SecretMissing")
    assert found["broker"] == "external/SecretMissing"


def test_the_transition_time_stays_while_the_status_does() -> None:
    of = network()
    first = status.status(of, plan(of), healthy(), None, None, NOW)
    later = "2026-01-02T09:00:00Z"
    again = status.status(network(status=first), plan(of), healthy(), None, None, later)
    assert again["conditions"] == first["conditions"]
    assert status.patch(first, again) == {}
    broken = status.status(network(status=first), plan(of), healthy(peers=peers(ready=0)), None, None, later)
    times = {item["type"]: item["lastTransitionTime"] for item in broken["conditions"]}
    assert (times["PeersReady"], times["SeedsReady"]) == (later, NOW)


@pytest.mark.parametrize(
    ("observed", "spec", "before", "phase"),
    [
        (Observed(), {}, "", "Pending"),
        (healthy(), {}, "Pending", "Ready"),
        (healthy(peers=peers(updated=1)), {}, "Ready", "Progressing"),
        (healthy(peers=peers(ready=1)), {}, "Ready", "Progressing"),
        (healthy(pods=[pod("peer", waiting("ErrImagePull"))], peers=peers(ready=2)), {}, "Ready", "Degraded"),
        (healthy(), {"paused": True}, "Ready", "Paused"),
    ],
)
def test_phase(observed: Observed, spec: dict[str, Any], before: str, phase: str) -> None:
    of = network(spec, {"phase": before})
    assert status.status(of, plan(of), observed, None, None, NOW)["phase"] == phase


def test_counts_selector_and_version() -> None:
    of = network({"image": {"repository": "a/b", "tag": "1.2"}})
    found = status.status(of, plan(of, node_image="a/b:1.2"), healthy(files=3, bytes=9), None, None, NOW)
    assert {key: found[key] for key in ("seeds", "readySeeds", "peers", "readyPeers", "files", "bytes")} == {
        "seeds": 1,
        "readySeeds": 1,
        "peers": 3,
        "readyPeers": 3,
        "files": 3,
        "bytes": 9,
    }
    assert found["version"] == "1.2"
    assert "app.kubernetes.io/component=peer" in found["selector"]
    assert found["binding"] == {"name": "library-binding"}


@pytest.mark.parametrize(
    ("image", "version"),
    [("a:5000/b:1.2", "1.2"), ("a:5000/b", "latest"), (f"b@sha256:{'0a' * 32}", "0a0a0a0a0a0a")],
)
def test_version_of_an_image(image: str, version: str) -> None:
    assert status.version(image) == version


def test_a_patch_removes_what_is_gone() -> None:
    before = {"draining": {"a": NOW, "b": NOW}, "files": 3, "phase": "Ready"}
    assert status.patch(before, {"draining": {"a": NOW}, "phase": "Ready"}) == {
        "draining": {"a": NOW, "b": None},
        "files": None,
    }
