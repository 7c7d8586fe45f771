"""A kopf for each namespace, against a small API server: one that is refused stops no other."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import kopf
import pytest

from minga_operator import serving
from minga_operator.errors import OperatorError
from minga_operator.health import Health
from minga_operator.kinds import NETWORK
from minga_operator.planning import Settings
from minga_operator.runtime import Runtime
from minga_operator.serving import Serving
from tests.unit.operator.api_server import ApiServer, api_server
from tests.waiting import wait_for


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ApiServer]:
    monkeypatch.setattr(serving, "_LONGEST_DELAY", 1.0)
    with api_server() as found:
        # Who may log in where no credentials are asked for is no part of this.
        connection = kopf.ConnectionInfo(server=found.kube.configuration.host)
        monkeypatch.setattr(kopf, "login_with_service_account", lambda **_: connection)
        yield found


def test_a_namespace_that_is_refused_is_begun_when_it_may_be_and_stops_no_other(
    server: ApiServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.forbid(NETWORK, "gone")
    runtime = Runtime(server.kube, Settings("node", "broker", ("gone", "shelf"), workers=1), "me")
    known = runtime.reconciler.known
    served = Serving(runtime, Health(lambda: ""), ("gone", "shelf"), "me")
    assert served.problem() == "networks: no answer yet"
    served.start()
    try:
        wait_for(lambda: served.problem() == "", "one namespace that is served")
        server.network(("shelf", "library"))
        wait_for(lambda: known.body(("shelf", "library")), "an event of kopf's")
        server.network(("gone", "library"))
        assert known.body(("gone", "library")) is None
        server.allow(NETWORK, "gone")
        wait_for(lambda: known.body(("gone", "library")), "the other, once it may be seen")
        # The right is lost while kopf watches: its networks are forgotten, the others stay.
        server.forbid(NETWORK, "gone")
        wait_for(lambda: known.body(("gone", "library")) is None, "nothing known of it")
        assert known.body(("shelf", "library"))
        assert served.problem() == ""
        assert served.dead() == ""
    finally:
        served.stop()
    told = [line for line in caplog.messages if line.startswith("networks in gone cannot be watched")]
    assert len(told) == 2
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("networks-")]


def test_a_namespace_without_an_answer_is_served_by_nobody(server: ApiServer) -> None:
    server.forbid(NETWORK)
    runtime = Runtime(server.kube, Settings("node", "broker", (), workers=1), "me")
    served = Serving(runtime, Health(lambda: ""), (None,), "me")
    with pytest.raises(OperatorError):
        runtime.look(None)
    served.start()
    try:
        wait_for(lambda: "forbidden" in served.problem(), "why")
    finally:
        served.stop()
