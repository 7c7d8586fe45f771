"""A status is written to the network that it is about: a real HTTP server has networks that come and go."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from minga_operator.kinds import NETWORK
from minga_operator.known import Known
from minga_operator.statuses import Statuses
from tests.unit.operator.api_server import ApiServer, api_server

LIBRARY = ("shelf", "library")
TOLD = {"phase": "Ready"}


@pytest.fixture
def server() -> Iterator[ApiServer]:
    with api_server() as found:
        yield found


def knowing(server: ApiServer) -> tuple[Known, dict[str, Any]]:
    """What is known of a network that has just been made, and the network."""
    known, body = Known(), server.network(LIBRARY)
    known.listed(None, [body], server.version)
    return known, body


def status(server: ApiServer) -> dict[str, Any]:
    return dict((server.get(NETWORK, LIBRARY) or {}).get("status", {}))


def test_it_is_written_and_known(server: ApiServer) -> None:
    known, body = knowing(server)
    assert Statuses(server.kube, known).write(LIBRARY, body["metadata"]["uid"], TOLD)
    assert status(server) == TOLD
    assert known.body(LIBRARY) == server.get(NETWORK, LIBRARY)


def test_a_network_that_was_changed_meanwhile_gets_it_too(server: ApiServer) -> None:
    known, body = knowing(server)
    server.network(LIBRARY, {"peers": {"replicas": 1}})
    assert Statuses(server.kube, known).write(LIBRARY, body["metadata"]["uid"], TOLD)
    assert status(server) == TOLD


def test_a_later_network_of_the_name_does_not_get_it(server: ApiServer) -> None:
    known, body = knowing(server)
    server.lose(NETWORK, LIBRARY)
    successor = server.network(LIBRARY)
    assert not Statuses(server.kube, known).write(LIBRARY, body["metadata"]["uid"], TOLD)
    assert status(server) == {}
    # Which is news, though no watch has told it.
    assert known.body(LIBRARY) == successor


def test_one_that_is_gone_is_forgotten_though_no_watch_said_so(server: ApiServer) -> None:
    known, body = knowing(server)
    server.lose(NETWORK, LIBRARY)
    assert not Statuses(server.kube, known).write(LIBRARY, body["metadata"]["uid"], TOLD)
    assert known.body(LIBRARY) is None
