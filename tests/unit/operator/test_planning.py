"""Decisions about images and rollouts."""

from __future__ import annotations

from typing import Any

import pytest

from minga_operator.network import Network, Plan, quantity
from minga_operator.planning import Existing, lacking, plan
from minga_operator.resources import workload
from tests.unit.operator.networks import CREDENTIALS, SETTINGS, live, network
from tests.unit.operator.networks import plan as fresh

DIGEST = f"sha256:{'ab' * 32}"


def decide(of: Network, existing: Existing | None = None, **changes: Any) -> Plan:
    values: dict[str, Any] = {
        "credentials": CREDENTIALS,
        "broker_digest": "0123456789abcdef",
        "kinds": frozenset(),
    }
    return plan(of, SETTINGS, existing or Existing(), **values | changes)


def existing(of: Network, **seeds: int) -> Existing:
    return Existing(live(workload.seeds(of, fresh(of)), **seeds), live(workload.peers(of, fresh(of))))


def test_an_operator_with_a_newer_default_image_keeps_the_networks() -> None:
    of = network(status={"image": "minga-node:0.0.9", "brokerImage": "rabbitmq:3"})
    assert (decide(of).node_image, decide(of).broker_image) == ("minga-node:0.0.9", "rabbitmq:3")


def test_the_specs_image_wins() -> None:
    of = network({"image": {"repository": "n", "digest": DIGEST}}, {"image": "minga-node:0.0.9"})
    assert decide(of).node_image == f"n@{DIGEST}"


def test_an_emptied_spec_goes_back_to_the_default_and_not_to_the_image_in_use() -> None:
    """As a revert in Git does it: the image of before was a choice, and is none any more."""
    bad = {"image": {"repository": "n", "tag": "bad"}, "broker": {"managed": {"image": "rabbitmq:bad"}}}
    first = decide(network())
    images = {"defaultImage": first.default_image, "defaultBrokerImage": first.default_broker_image}
    chosen = decide(network(bad, {"image": first.node_image, "brokerImage": first.broker_image} | images))
    assert (chosen.node_image, chosen.broker_image) == ("n:bad", "rabbitmq:bad")
    status = {"image": "n:bad", "brokerImage": "rabbitmq:bad"} | images
    back = decide(network(status=status))
    assert (back.node_image, back.broker_image) == (first.node_image, first.broker_image)
    # Also for a network whose status an earlier operator wrote while the image was chosen.
    old = {"image": "n:bad", "brokerImage": "rabbitmq:bad"}
    seen = decide(network(bad, old))
    assert (seen.default_image, seen.default_broker_image) == (SETTINGS.node_image, SETTINGS.broker_image)


def test_the_default_of_a_network_outlives_that_of_the_operator() -> None:
    of = network(status={"image": "n:1", "defaultImage": "minga-node:0.0.9", "defaultBrokerImage": "r:3"})
    assert (decide(of).node_image, decide(of).broker_image) == ("minga-node:0.0.9", "r:3")


def test_a_new_network_has_no_partition() -> None:
    assert decide(network()).peer_partition == 0


def test_nothing_to_roll_out_needs_no_partition() -> None:
    of = network()
    assert decide(of, existing(of)).peer_partition == 0
    assert decide(of, existing(of, ready=0)).peer_partition == 0


def test_peers_wait_while_seeds_get_a_new_template() -> None:
    old, new = network(), network({"image": {"repository": "n", "tag": "2"}})
    assert decide(new, existing(old)).peer_partition == 3


def test_peers_wait_until_the_last_seed_is_ready_again() -> None:
    new = network({"image": {"repository": "n", "tag": "2"}, "seeds": {"replicas": 3}})
    old = network({"seeds": {"replicas": 3}})
    done = fresh(new, node_image="n:2")
    seeds = workload.seeds(new, done)
    peers = live(workload.peers(old, fresh(old)))
    assert decide(new, Existing(live(seeds, updated=2), peers)).peer_partition == 3
    assert decide(new, Existing(live(seeds, ready=2), peers)).peer_partition == 3
    assert decide(new, Existing(live(seeds), peers)).peer_partition == 0


def test_pods_that_were_never_made_take_a_corrected_template_though_no_seed_is_ready() -> None:
    """A quota or Pod Security refused them all: held at the template of before, they never could be."""
    old, new = network(), network({"image": {"repository": "n", "tag": "2"}})
    peers, seeds = live(workload.peers(old, fresh(old))), live(workload.seeds(old, fresh(old)), ready=0)
    peers["spec"]["updateStrategy"]["rollingUpdate"]["partition"] = 3
    assert decide(new, Existing(seeds, peers)).peer_partition == 3
    peers["status"]["replicas"] = 0
    assert decide(new, Existing(seeds, peers)).peer_partition == 0


def test_an_unreadable_broker_secret_restarts_nobody() -> None:
    of = network({"broker": {"external": {"secretName": "x"}}})
    before = fresh(of, by_environment=True)
    there = Existing(live(workload.seeds(of, before)), live(workload.peers(of, before)))
    found = decide(of, there, broker_digest=None, credentials=None)
    assert (found.by_environment, found.broker_digest) == (True, "0123456789abcdef")


def test_draining_pods_stay() -> None:
    of = network({"peers": {"replicas": 2}})
    assert decide(of, keep={"peer": 5}).peer_replicas == 5
    assert decide(of, keep={"seed": 3}).seed_replicas == 3
    assert (decide(of).peer_replicas, decide(of).seed_replicas) == (2, 1)


def test_nobody_is_rolled_while_somebody_drains() -> None:
    """A rollout begins at the top, where those are that leave."""
    old = network({"seeds": {"replicas": 3}, "peers": {"replicas": 5}})
    new = network({"sharing": {"uploadLimit": "1M"}, "peers": {"replicas": 2}})
    there = existing(old)
    found = decide(new, there, keep={"peer": 5, "seed": 3})
    assert (found.seed_partition, found.peer_partition) == (3, 5)
    assert decide(new, there, keep={"seed": 3}).seed_partition == 3
    # Once nobody drains any more, the seeds are first as always.
    over = decide(new, there)
    assert (over.seed_partition, over.peer_partition) == (0, 2)
    # Nor does a rollout go on that had begun before.
    begun = live(workload.peers(new, fresh(new, peer_replicas=5)))
    begun["status"] |= {"currentRevision": "a", "updateRevision": "b"}
    seeds = live(workload.seeds(new, fresh(new)))
    assert decide(new, Existing(seeds, begun), keep={"peer": 5}).peer_partition == 5
    begun["status"] |= {"currentRevision": "b"}
    assert decide(new, Existing(seeds, begun), keep={"peer": 5}).peer_partition == 0


def test_a_spec_that_needs_an_unknown_kind_is_told_by_field_and_kind() -> None:
    of = network({"gateway": {"name": "front"}})
    error = lacking(of, frozenset({"PodMonitor"}))
    assert error is not None
    assert "spec.gateway" in str(error)
    assert "HTTPRoute of gateway.networking.k8s.io/v1" in str(error)
    assert lacking(of, frozenset({"HTTPRoute"})) is None
    assert lacking(network(), frozenset()) is None


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0),
        (5, 5),
        ("100M", 100_000_000),
        ("1Ki", 1024),
        ("1.5Gi", 1610612736),
        ("500m", 1),
        ("2E", 2 * 10**18),
    ],
)
def test_quantities(text: str | int, value: int) -> None:
    assert quantity(text) == value


@pytest.mark.parametrize("text", ["", "x", "Gi", "1Zi", "-"])
def test_what_is_no_quantity(text: str) -> None:
    with pytest.raises(ValueError, match="not a quantity"):
        quantity(text)
