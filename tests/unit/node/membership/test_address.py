"""Where a node says that it is."""

from __future__ import annotations

import pytest

from minga_node.membership.address import LOOPBACK, NOWHERE, OwnAddress, choose, is_loopback, source_towards


@pytest.mark.parametrize(("current", "found", "told"), [
    ("10.0.0.1", [], "10.0.0.1"),
    ("10.0.0.1", ["10.0.0.2", "10.0.0.1"], "10.0.0.1"),
    ("10.0.0.1", ["10.0.0.2"], "10.0.0.2"),
    (LOOPBACK, [LOOPBACK, "10.0.0.2"], "10.0.0.2"),
    ("10.0.0.1", [LOOPBACK], LOOPBACK),
    (LOOPBACK, [], LOOPBACK),
])  # fmt: skip
def test_an_address_that_connections_show_counts(current: str, found: list[str], told: str) -> None:
    assert choose(current, found) == told


class Routes:
    """Of a machine: which of its addresses it uses towards which other."""

    def __init__(self, **ways: str) -> None:
        self.ways: dict[str, str] = ways

    def __call__(self, target: str) -> str | None:
        return self.ways.get(target)


def test_a_node_that_begins_without_a_network_tells_its_address_once_there_is_one() -> None:
    routes = Routes()
    address = OwnAddress(source=routes)
    assert address.host == LOOPBACK
    assert not address.renew([])
    assert address.problem is None, "nobody is elsewhere"
    assert not address.renew(["10.0.0.9"])
    assert "only this machine" in str(address.problem)
    routes.ways["10.0.0.9"] = "10.0.0.1"
    assert address.renew(["10.0.0.9"])
    assert (address.host, address.problem) == ("10.0.0.1", None)


def test_an_address_that_changes_is_noticed_and_another_way_out_is_no_change() -> None:
    routes = Routes(**{NOWHERE: "10.0.0.1", "10.0.0.9": "10.0.0.1"})
    address = OwnAddress(source=routes)
    assert address.host == "10.0.0.1"
    routes.ways["172.16.0.9"] = "172.16.0.1"
    assert not address.renew(["172.16.0.9", "10.0.0.9"])
    routes.ways = {"10.1.0.9": "10.1.0.1", "172.16.0.9": "172.16.0.1"}
    address.met("10.1.0.9")
    assert address.renew(["172.16.0.9"])
    assert address.host == "10.1.0.1", "what the connection to the seed shows comes first"


def test_what_the_configuration_says_stays_and_is_named_where_it_cannot_be_right() -> None:
    address = OwnAddress("127.0.0.1", Routes(**{"10.0.0.9": "10.0.0.1"}))
    assert not address.renew(["10.0.0.9"])
    assert address.host == "127.0.0.1"
    assert "set advertise" in str(address.problem)
    assert not address.renew(["127.0.0.2"])
    assert address.problem is None


def test_nothing_is_resolved() -> None:
    assert source_towards("localhost") is None
    assert source_towards("127.0.0.1") == "127.0.0.1"
    assert is_loopback("localhost")
    assert is_loopback("::1")
    assert not is_loopback("peer.example.com")
