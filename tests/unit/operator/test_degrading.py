"""What may not be seen, and what is a defect of ours, is told where it concerns; everything else goes on."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest

from minga_operator import follower, metrics
from minga_operator.brokers import Brokers
from minga_operator.cache import Cache
from minga_operator.errors import Refused
from minga_operator.kinds import BY_NAME, NETWORK, POD, SECRET, STATEFUL_SET
from minga_operator.planning import Settings
from minga_operator.runtime import Runtime
from tests.unit.operator.api_server import ApiServer, api_server
from tests.waiting import wait_for

LIBRARY = ("shelf", "library")
INGRESS = BY_NAME["Ingress"]
WITH_INGRESS = {"ingress": {"host": "files.example.com"}}


@pytest.fixture
def server() -> Iterator[ApiServer]:
    with api_server() as found:
        yield found


@pytest.fixture
def runtimes(server: ApiServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Runtime]]:
    """Those that were made; they end with the test."""
    monkeypatch.setattr(follower, "_LONGEST_DELAY", 1.0)
    made: list[Runtime] = []
    yield made
    for runtime in made:
        runtime.stop()


def begin(server: ApiServer, runtimes: list[Runtime], *namespaces: str) -> Runtime:
    runtime = Runtime(server.kube, Settings("node", "broker", namespaces, workers=1), "me")
    runtimes.append(runtime)
    runtime.start()
    for namespace in namespaces or (None,):
        try:
            runtime.look(namespace)
        except Refused:
            continue
    return runtime


def applied(server: ApiServer, key: tuple[str, str] = LIBRARY) -> bool:
    return server.conditions(key).get("Reconciled") == ("True", "Applied")


def unwatched(kind: str, namespace: str = "") -> float:
    return float(metrics.UNWATCHED.labels(kind, namespace)._value.get())


def test_a_kind_that_may_not_be_watched_stops_nobody_who_does_not_need_it(
    server: ApiServer, runtimes: list[Runtime], caplog: pytest.LogCaptureFixture
) -> None:
    server.forbid(INGRESS)
    server.network(LIBRARY)
    server.network(("shelf", "shown"), WITH_INGRESS)
    runtime = begin(server, runtimes)
    assert runtime.blind() == ""
    wait_for(lambda: applied(server), "the network without an Ingress")
    assert unwatched("Ingress") == 1
    wait_for(
        lambda: server.conditions(("shelf", "shown")).get("Reconciled") == ("False", "Refused"),
        "a word about the Ingress",
    )
    # All but the Ingress is there.
    assert server.get(STATEFUL_SET, ("shelf", "shown-peer"))
    server.allow(INGRESS)
    wait_for(lambda: applied(server, ("shelf", "shown")), "the Ingress, once it may be made")
    assert server.get(INGRESS, ("shelf", "shown"))
    wait_for(lambda: unwatched("Ingress") == 0, "a watch")
    told = [line for line in caplog.messages if line.startswith("ingresses cannot be watched")]
    assert len(told) == 1


def test_a_network_whose_pods_may_not_be_seen_is_left_alone_and_says_so(
    server: ApiServer, runtimes: list[Runtime]
) -> None:
    server.network(LIBRARY)
    runtime = begin(server, runtimes)
    wait_for(lambda: applied(server), "a first reconcile")
    server.forbid(POD)
    wait_for(lambda: server.conditions(LIBRARY)["Reconciled"] == ("False", "CannotWatch"), "a word about it")
    assert server.conditions(LIBRARY)["PeersReady"] == ("Unknown", "CannotWatch")
    assert "pods is forbidden" in runtime.blind()
    before = server.get(STATEFUL_SET, ("shelf", "library-peer"))
    runtime.told(server.network(LIBRARY, {"peers": {"replicas": 1}}))
    wait_for(lambda: runtime.queue.depth() == 0, "a look")
    assert server.get(STATEFUL_SET, ("shelf", "library-peer")) == before
    server.allow(POD)
    wait_for(lambda: applied(server), "work again")
    assert runtime.blind() == ""


def test_a_namespace_that_is_lost_stops_no_other(server: ApiServer, runtimes: list[Runtime]) -> None:
    for kind in (*BY_NAME.values(), NETWORK):
        server.forbid(kind, "gone")
    server.network(LIBRARY)
    runtime = begin(server, runtimes, "gone", "shelf")
    assert runtime.blind() == ""
    wait_for(lambda: applied(server), "the network of the other")
    assert unwatched("Pod", "gone") == 1
    assert unwatched("Pod", "shelf") == 0


def test_nobody_misses_a_kind_that_is_not_followed_any_more(server: ApiServer) -> None:
    server.forbid(INGRESS)
    found = follower.Follower(server.kube, Cache(lambda _: None), INGRESS, "away")
    found.start()
    wait_for(lambda: ("Ingress", "away") in metrics.UNWATCHED._metrics, "its sample")
    wait_for(lambda: unwatched("Ingress", "away") == 1, "that it is missed")
    found.stop()
    assert ("Ingress", "away") not in metrics.UNWATCHED._metrics
    found._cannot("a refusal that was on its way")
    assert ("Ingress", "away") not in metrics.UNWATCHED._metrics
    assert found.dead() == ""


def test_an_operator_that_may_see_nothing_is_at_work_for_nobody(
    server: ApiServer, runtimes: list[Runtime]
) -> None:
    server.forbid(STATEFUL_SET)
    assert "statefulsets is forbidden" in begin(server, runtimes).blind()


def traces(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.exc_info]


def test_a_defect_is_told_in_the_status_and_once_in_the_log(
    server: ApiServer,
    runtimes: list[Runtime],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    tries = 0

    def wrong(*_: Any) -> None:
        nonlocal tries
        tries += 1
        raise KeyError("a password that nobody should see")

    server.network(LIBRARY)
    runtime = begin(server, runtimes)
    wait_for(lambda: applied(server), "a first reconcile")
    monkeypatch.setattr(Brokers, "find", wrong)
    runtime.told(server.network(LIBRARY, {"peers": {"replicas": 1}}))
    wait_for(lambda: tries >= 3, "a third try")
    assert server.conditions(LIBRARY)["Reconciled"] == ("False", "InternalError")
    assert server.conditions(LIBRARY)["Ready"] == ("False", "InternalError")
    body = server.get(NETWORK, LIBRARY)
    assert body is not None
    told = [item["message"] for item in body["status"]["conditions"] if item["type"] == "Reconciled"]
    assert told[0].startswith("KeyError at test_degrading.py:")
    assert "password" not in told[0]
    assert len(traces(caplog)) == 1
    monkeypatch.undo()
    wait_for(lambda: applied(server), "work again", every=0.2)


def test_a_defect_of_the_status_itself_is_told_too(
    server: ApiServer,
    runtimes: list[Runtime],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    tries = 0

    def wrong(*_: Any) -> None:
        nonlocal tries
        tries += 1
        raise TypeError("a defect of ours")

    monkeypatch.setattr("minga_operator.status.status", wrong)
    server.network(LIBRARY)
    begin(server, runtimes)
    wait_for(lambda: server.conditions(LIBRARY).get("Reconciled") == ("False", "InternalError"), "a word")
    assert server.conditions(LIBRARY)["Ready"] == ("False", "InternalError")
    assert server.conditions(LIBRARY)["Reconciling"] == ("True", "InternalError")
    wait_for(lambda: tries >= 3, "a third try")
    assert len(traces(caplog)) == 1


@pytest.mark.parametrize("key", ["username", "password", "uri", "uris"])
def test_a_secret_without_a_key_is_completed(server: ApiServer, runtimes: list[Runtime], key: str) -> None:
    server.network(LIBRARY)
    begin(server, runtimes)
    wait_for(lambda: applied(server), "a first reconcile")
    without(server, key)
    wait_for(lambda: key in credentials(server)["data"], "that it is there again")
    wait_for(lambda: server.conditions(LIBRARY)["Reconciled"][0] == "True", "all is well")


def test_of_a_paused_network_it_is_told_and_not_completed(server: ApiServer, runtimes: list[Runtime]) -> None:
    server.network(LIBRARY)
    runtime = begin(server, runtimes)
    wait_for(lambda: applied(server), "a first reconcile")
    runtime.told(server.network(LIBRARY, {"paused": True}))
    wait_for(lambda: server.conditions(LIBRARY)["Reconciled"] == ("Unknown", "Paused"), "a pause")
    without(server, "password")

    def told() -> bool:
        body = server.get(NETWORK, LIBRARY) or {}
        messages = [item["message"] for item in body["status"]["conditions"] if item["type"] == "Reconciled"]
        return "Secret library-broker-credentials" in messages[0]

    wait_for(told, "its name")
    assert "password" not in credentials(server)["data"]


def credentials(server: ApiServer) -> dict[str, Any]:
    found = server.get(SECRET, ("shelf", "library-broker-credentials"))
    assert found is not None
    return found


def without(server: ApiServer, key: str) -> None:
    found = credentials(server)
    data = {name: value for name, value in found["data"].items() if name != key}
    server.write(SECRET.plural, found | {"data": data})
