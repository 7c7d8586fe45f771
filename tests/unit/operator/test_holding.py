"""An operator that renders pods otherwise leaves those that there are alone, until the user changes them."""

from __future__ import annotations

import copy
import json
from base64 import b64decode
from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import pytest

from minga_operator import status
from minga_operator.network import RESTARTED_AT, Credentials, Network, Plan, Tokens
from minga_operator.observed import Observed
from minga_operator.planning import Existing
from minga_operator.planning import plan as decide
from minga_operator.resources import broker, brokerfiles, config, desired, memory, workload
from minga_operator.resources.common import Object
from tests.unit.operator.networks import CREDENTIALS, NOW, SETTINGS, network
from tests.unit.operator.test_resources import CASES

WORKLOADS = ("StatefulSet", "DaemonSet")
DIGEST = "0123456789abcdef"


def planned(of: Network, there: list[Object], **changes: Any) -> Plan:
    """What is decided about a network whose workloads are those."""
    found = {(item["kind"], item["metadata"]["name"]): item for item in there}
    values: dict[str, Any] = {
        "credentials": CREDENTIALS if of.spec.broker.managed else None,
        "broker_digest": DIGEST,
        "kinds": frozenset(),
    }
    existing = Existing(
        seeds=found.get(("StatefulSet", "library-seed")),
        peers=found.get(("StatefulSet", "library-peer")),
        daemons=found.get(("DaemonSet", "library-peer")),
        broker=found.get(("StatefulSet", "library-broker")),
    )
    return decide(of, SETTINGS, existing, **values | changes)


def reconciled(of: Network, there: list[Object], **changes: Any) -> list[Object]:
    """What there is after a reconcile."""
    return copy.deepcopy(desired(of, planned(of, there, **changes)))


def templates(items: list[Object]) -> dict[str, Object]:
    return {item["metadata"]["name"]: item["spec"]["template"] for item in items if item["kind"] in WORKLOADS}


def rolled(before: list[Object], after: list[Object]) -> set[str]:
    """Workloads whose pods are replaced: only a template does that."""
    old, new = templates(before), templates(after)
    assert old.keys() == new.keys()
    return {name for name in old if old[name] != new[name]}


def contents(items: list[Object], kind: str, name: str) -> dict[str, str]:
    (found,) = [item for item in items if (item["kind"], item["metadata"]["name"]) == (kind, name)]
    return dict(found["data"])


def make_newer(monkeypatch: pytest.MonkeyPatch) -> None:
    """From here on this is an operator that renders every pod and every configuration otherwise."""

    def template(old: Callable[..., Object]) -> Callable[..., Object]:
        def rendered(*args: Any, **kwargs: Any) -> Object:
            found = copy.deepcopy(old(*args, **kwargs))
            found["spec"]["containers"][0].setdefault("env", []).append({"name": "NEWER", "value": "1"})
            return found

        return rendered

    def node(old: Callable[..., Object]) -> Callable[..., Object]:
        return lambda *args: {**old(*args), "newer": True}

    def settings(old: Callable[..., Object]) -> Callable[..., Object]:
        def rendered(*args: Any) -> Object:
            found = old(*args)
            return {**found, "rabbitmq.conf": found["rabbitmq.conf"] + "newer = true\n"}

        return rendered

    monkeypatch.setattr(workload, "_template", template(workload._template))
    monkeypatch.setattr(broker, "_template", template(broker._template))
    monkeypatch.setattr(config, "node", node(config.node))
    monkeypatch.setattr(brokerfiles, "settings", settings(brokerfiles.settings))


@pytest.mark.parametrize("case", CASES)
def test_a_newer_operator_restarts_no_pod_and_keeps_what_pods_read(
    case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    of = network(CASES[case])
    before = reconciled(of, [])
    make_newer(monkeypatch)
    assert rolled(before, reconciled(of, [])) == set(templates(before)), "it does render otherwise"
    after = reconciled(of, before)
    assert after == before
    assert reconciled(of, after) == after


@pytest.mark.parametrize("case", CASES)
def test_of_the_same_operator_nothing_is_held(case: str) -> None:
    of = network(CASES[case])
    assert planned(of, reconciled(of, [])).held == {}


def test_scaling_under_a_newer_operator_restarts_no_pod(monkeypatch: pytest.MonkeyPatch) -> None:
    before = reconciled(network(), [])
    make_newer(monkeypatch)
    larger = network({"seeds": {"replicas": 3}, "peers": {"replicas": 9}, "service": {"type": "NodePort"}})
    after = reconciled(larger, before)
    assert rolled(before, after) == set()
    # The new seeds are told of, in a file that is otherwise the old one.
    files = contents(after, "ConfigMap", "library-config")
    assert {name for name in files if name.endswith(".json")} == {
        "peer.json",
        *(f"library-seed-{ordinal}.json" for ordinal in range(3)),
    }
    assert len(json.loads(files["peer.json"])["seed_peer"]) == 3
    assert "newer" not in json.loads(files["peer.json"])
    assert reconciled(larger, after) == after


@pytest.mark.parametrize(
    ("change", "restarted"),
    [
        ({"peers": {"resources": {"limits": {"memory": "1Gi"}}}}, {"library-peer"}),
        ({"labels": {"team": "a"}}, {"library-seed", "library-peer"}),
        ({"broker": {"managed": {"image": "rabbitmq:4.2"}}}, {"library-broker"}),
        ({"broker": {"managed": {"replicas": 3}}}, {"library-broker"}),
    ],
)
def test_a_change_takes_the_newer_rendering_where_it_concerns_pods(
    change: dict[str, Any], restarted: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = reconciled(network(), [])
    make_newer(monkeypatch)
    after = reconciled(network(change), before)
    assert rolled(before, after) == restarted
    for name in restarted:
        assert {"name": "NEWER", "value": "1"} in templates(after)[name]["spec"]["containers"][0]["env"]
    # What pods read when they start changes with them, and not before.
    newer = "newer" in json.loads(contents(after, "ConfigMap", "library-config")["peer.json"])
    assert newer is ("library-peer" in restarted)
    conf = b64decode(contents(after, "Secret", "library-broker")["rabbitmq.conf"])
    assert (b"newer" in conf) is ("library-broker" in restarted)


def test_a_restart_that_is_asked_for_takes_it_once_and_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    before = reconciled(network(), [])
    make_newer(monkeypatch)
    asked = network(annotations={RESTARTED_AT: "2026-01-02"})
    after = reconciled(asked, before)
    assert rolled(before, after) == set(templates(before))
    assert planned(asked, after).held == {}
    assert reconciled(asked, after) == after
    # That the request is removed is none; another one is.
    assert rolled(after, reconciled(network(), after)) == set()
    assert not any(held.outdated for held in planned(network(), after).held.values())
    again = network(annotations={RESTARTED_AT: "2026-01-03"})
    assert rolled(after, reconciled(again, after)) == set(templates(before))


def test_a_restart_without_a_newer_operator_is_one() -> None:
    before = reconciled(network(), [])
    asked = network(annotations={RESTARTED_AT: "now"})
    assert rolled(before, reconciled(asked, before)) == set(templates(before))


def test_what_is_held_is_still_repaired(monkeypatch: pytest.MonkeyPatch) -> None:
    before = reconciled(network(), [])
    make_newer(monkeypatch)
    drifted = copy.deepcopy(before)
    for item in drifted:
        if item["kind"] in WORKLOADS:
            item["spec"]["template"]["spec"]["containers"][0]["image"] = "somebody-elses:1"
    assert reconciled(network(), drifted) == before


def test_other_credentials_restart_a_broker_that_does_not_follow_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = reconciled(network(), [])
    # As an earlier operator made it: without what brings credentials to a broker that runs.
    for item in before:
        if item["metadata"]["name"] == "library-broker" and item["kind"] == "StatefulSet":
            annotations, pod = item["metadata"]["annotations"], item["spec"]["template"]["spec"]
            pod["containers"] = [one for one in pod["containers"] if one["name"] == "rabbitmq"]
            content = json.loads(annotations[memory.RENDERED])
            content["template"] = item["spec"]["template"]
            content["secrets"] = memory.secrets(planned(network(), []), "broker", content["template"])
            annotations[memory.RENDERED] = json.dumps(content, separators=(",", ":"))
    after = reconciled(network(), before)
    assert rolled(before, after) == set()
    make_newer(monkeypatch)
    assert rolled(before, reconciled(network(), before)) == set()
    other = Credentials(CREDENTIALS.username, "another-password", CREDENTIALS.cookie)
    assert rolled(before, reconciled(network(), before, credentials=other)) == {"library-broker"}


@pytest.mark.parametrize(
    "other",
    [
        Credentials(CREDENTIALS.username, "another-password", CREDENTIALS.cookie),
        Credentials("another", CREDENTIALS.password, CREDENTIALS.cookie, ("minga",)),
        # One member after the other would come back to others that do not know it.
        Credentials(CREDENTIALS.username, CREDENTIALS.password, "another-cookie"),
    ],
)
@pytest.mark.parametrize("case", ["default", "everything"])
def test_other_credentials_restart_no_broker(case: str, other: Credentials) -> None:
    of = network(CASES[case])
    before = reconciled(of, [])
    after = reconciled(of, before, credentials=other)
    assert rolled(before, after) == set()
    assert contents(before, "Secret", "library-broker") != contents(after, "Secret", "library-broker")


@pytest.fixture
def earlier(monkeypatch: pytest.MonkeyPatch) -> list[Object]:
    """A network as an operator made it that gave nodes the broker's address in their environment."""
    found = copy.deepcopy(desired(network(), replace(planned(network(), []), by_environment=True)))
    for item in found:
        annotations = item["metadata"].get("annotations", {})
        if memory.RENDERED in annotations:
            # As it remembered: also of the broker, which it does not concern.
            content = json.loads(annotations[memory.RENDERED])
            content["observed"]["broker_digest"] = DIGEST
            annotations[memory.RENDERED] = json.dumps(content, separators=(",", ":"))
    return found


OTHER_URI = {"broker_digest": "fedcba9876543210"}


def variables(items: list[Object], name: str) -> set[str]:
    return {item["name"] for item in templates(items)[name]["spec"]["containers"][0]["env"]}


def test_nodes_with_the_address_in_their_environment_are_left_alone_by_a_newer_operator(
    earlier: list[Object],
) -> None:
    after = reconciled(network(), earlier)
    assert rolled(earlier, after) == set()
    assert rolled(after, reconciled(network(), after)) == set()


def test_they_are_restarted_for_another_address_as_nothing_else_would_tell_them(
    earlier: list[Object],
) -> None:
    after = reconciled(network(), earlier, **OTHER_URI)
    assert rolled(earlier, after) == {"library-seed", "library-peer"}
    assert rolled(after, reconciled(network(), after, **OTHER_URI)) == set()


def test_they_keep_it_so_as_long_as_their_image_which_may_not_know_the_file(
    earlier: list[Object],
) -> None:
    asked = network(annotations={RESTARTED_AT: "now"})
    after = reconciled(asked, earlier)
    assert rolled(earlier, after) == set(templates(earlier))
    assert "MINGA_BROKER_URL" in variables(after, "library-peer")
    # Also the first pods of another kind are of that image.
    daemons = reconciled(network({"peers": {"mode": "DaemonSet"}}), earlier)
    assert "MINGA_BROKER_URL" in variables(daemons, "library-peer")


def test_another_image_brings_them_the_file_with_one_roll(earlier: list[Object]) -> None:
    of = network({"image": {"repository": "minga-node", "tag": "newer"}})
    after = reconciled(of, earlier)
    assert rolled(earlier, after) == {"library-seed", "library-peer"}
    for name in ("library-seed", "library-peer"):
        assert "MINGA_BROKER_URL_FILE" in variables(after, name)
    # From there on a password restarts nobody, and writes nothing to a workload.
    assert reconciled(of, after, **OTHER_URI) == after


def test_an_operator_that_left_no_memory_is_followed_without_a_restart(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = reconciled(network(), [])
    for item in before:
        (item["metadata"].get("annotations") or {}).pop(memory.RENDERED, None)
        if item["kind"] in WORKLOADS:
            item["spec"]["template"]["metadata"]["creationTimestamp"] = None
            item["spec"]["template"]["spec"]["dnsPolicy"] = "ClusterFirst"
    # As long as it renders the same, there is nothing to hold.
    assert planned(network(), before).held == {}
    make_newer(monkeypatch)
    applied = {"type": "Reconciled", "status": "True", "observedGeneration": 7}
    done = network(status={"conditions": [applied]})
    after = reconciled(done, before)
    for item in before:
        if item["kind"] in WORKLOADS:
            del item["spec"]["template"]["metadata"]["creationTimestamp"]
    assert rolled(before, after) == set()
    assert rolled(after, reconciled(done, after)) == set()
    # Of a spec that has not been applied yet, nobody knows what is in the pods.
    for state in ({"status": "False"}, {"observedGeneration": 6}):
        pending = network(status={"conditions": [applied | state]})
        assert rolled(before, reconciled(pending, before)) == set(templates(before))


@pytest.mark.parametrize("broken", ["", "{", "[]", "{}", '{"template":{},"files":{},"spec":{"seeds":1}}'])
def test_a_memory_that_cannot_be_read_is_made_anew(broken: str) -> None:
    before = reconciled(network(), [])
    damaged = copy.deepcopy(before)
    for item in damaged:
        if item["kind"] in WORKLOADS:
            item["metadata"]["annotations"][memory.RENDERED] = broken
    assert reconciled(network(), damaged) == before


@pytest.mark.parametrize("case", CASES)
def test_pods_are_rendered_of_nothing_that_is_not_remembered(case: str) -> None:
    """A field of the plan that this finds belongs into `memory.OBSERVED`, or it would never restart a pod."""
    of = network(CASES[case])
    plan = planned(of, [])
    others: dict[str, Any] = {
        "tokens": Tokens("another-token-to-read", "another-token-to-write"),
        "seed_replicas": 8,
        "peer_replicas": 11,
        "peer_partition": 2,
        "seed_partition": 2,
        "default_image": "another",
        "default_broker_image": "another",
        "kinds": frozenset({"PodMonitor"}),
        "runbooks": "https://team.example/books/",
        "broker_digest": "fedcba9876543210",
    }
    # Credentials are in no annotation; a digest of them is.
    known = {*memory.OBSERVED, "credentials", "held", "by_environment"}
    assert {item.name for item in fields(Plan)} == others.keys() | known, "a field is neither"
    for name, value in others.items():
        changed = Plan(**{item.name: getattr(plan, item.name) for item in fields(Plan)} | {name: value})
        assert templates(desired(of, plan)) == templates(desired(of, changed)), name


def test_no_memory_holds_a_secret() -> None:
    of = network(CASES["everything"])
    for item in reconciled(of, []):
        text = (item["metadata"].get("annotations") or {}).get(memory.RENDERED, "")
        for secret in (CREDENTIALS.password, CREDENTIALS.cookie):
            assert secret not in text
            assert brokerfiles.password_hash(secret, b"salt")[:8] not in text
        assert "password_hash" not in text


def up_to_date(of: Network, there: list[Object]) -> Object:
    found = status.status(of, planned(of, there), Observed(), None, None, NOW)
    (condition,) = [item for item in found["conditions"] if item["type"] == "UpToDate"]
    return dict(condition)


def test_the_status_names_what_is_held_and_how_to_change_that(monkeypatch: pytest.MonkeyPatch) -> None:
    before = reconciled(network(), [])
    assert up_to_date(network(), before)["status"] == "True"
    make_newer(monkeypatch)
    condition = up_to_date(network(), before)
    assert (condition["status"], condition["reason"]) == ("False", "EarlierTemplate")
    assert "library-broker, library-peer, library-seed: " in condition["message"]
    assert f"kubectl annotate p2pn library --overwrite {RESTARTED_AT}=" in condition["message"]
    after = reconciled(network({"labels": {"team": "a"}}), before)
    assert up_to_date(network({"labels": {"team": "a"}}), after)["message"].startswith("library-broker: ")


def test_a_paused_network_goes_on_to_say_whether_it_is_up_to_date(monkeypatch: pytest.MonkeyPatch) -> None:
    before = reconciled(network(), [])
    make_newer(monkeypatch)
    earlier = up_to_date(network(), before)
    of = network({"paused": True}, {"observedGeneration": 7, "conditions": [earlier]})
    found = status.status(of, None, Observed(), None, None, NOW)
    assert [item for item in found["conditions"] if item["type"] == "UpToDate"] == [earlier]
