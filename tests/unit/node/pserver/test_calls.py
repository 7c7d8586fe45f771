"""Which calls are taken in, and which messages are looked at."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial

import pytest

from minga_node.errors import Conflict
from minga_node.pserver import networks
from minga_node.pserver.calls import Calls, caller
from minga_protos.v1 import content_pb2, index_pb2, membership_pb2


@pytest.mark.parametrize(
    ("peer", "whose"),
    [
        ("ipv4:198.18.0.7:5000", "198.18.0.7"),
        ("ipv6:[2001:db8::7]:5000", "2001:db8::/64"),
        ("ipv6:%5B2001:db8::7%5D:5000", "2001:db8::/64"),
        ("ipv6:%5B::ffff:198.18.0.7%5D:5000", "198.18.0.7"),
        ("unix:/run/x", "unix:/run/x"),
    ],
)
def test_whose_a_call_is(peer: str, whose: str) -> None:
    assert caller(peer) == whose


def never() -> None:
    raise AssertionError("it is to go on")


def test_of_a_party_that_has_all_its_places_the_oldest_call_ends() -> None:
    calls = Calls(10, 2)
    ended: list[int] = []
    with ExitStack() as stack:
        for number in range(3):
            stack.enter_context(calls.place("a", partial(ended.append, number)))
        stack.enter_context(calls.place("b", never))
        assert (ended, len(calls)) == ([0], 3)
    assert len(calls) == 0
    with calls.place("a", never), calls.place("a", never):
        assert len(calls) == 2


def test_where_all_places_are_taken_the_party_with_most_loses_its_oldest() -> None:
    calls = Calls(4, 4)
    ended: list[int] = []
    with ExitStack() as stack:
        for number in range(4):
            stack.enter_context(calls.place("a", partial(ended.append, number)))
        stack.enter_context(calls.place("b", never))
        stack.enter_context(calls.place("c", never))
        assert (ended, len(calls)) == ([0, 1], 4)
    assert len(calls) == 0


def test_another_networks_name_is_seen_before_a_message_is_parsed() -> None:
    for kind in (index_pb2.PushRequest, index_pb2.ReconcileRequest, membership_pb2.JoinRequest):
        raw = kind(network="theirs").SerializeToString() + b"\xff" * 100
        with pytest.raises(Conflict, match="this is the network 'ours', not 'theirs'"):
            networks.check(raw, kind.FromString, "ours")
        networks.check(raw, kind.FromString, "theirs")
        networks.check(raw, kind.FromString, None)


@pytest.mark.parametrize("raw", [b"", b"\x0a", b"\x0a\x7fx", b"\x0a\xff\x01", b"\x12\x04ours", b"\x0a\x00"])
def test_what_does_not_begin_with_a_name_is_for_the_service(raw: bytes) -> None:
    if raw[:2] in {b"\x0a\x7f", b"\x0a\x00"}:
        with pytest.raises(Conflict):
            networks.check(raw, index_pb2.PushRequest.FromString, "ours")
    else:
        networks.check(raw, index_pb2.PushRequest.FromString, "ours")


def test_messages_without_a_network_are_not_looked_at() -> None:
    raw = content_pb2.KeepsRequest(content_id=b"theirs").SerializeToString()
    networks.check(raw, content_pb2.KeepsRequest.FromString, "ours")
