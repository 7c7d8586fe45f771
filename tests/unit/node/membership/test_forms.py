"""What a record and a digest must look like."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from minga_node.membership.clock_bounds import why_not
from minga_node.membership.forms import digest_problem, record_problem
from minga_node.membership.known_members import KnownMember
from minga_node.membership.member_records import MemberRecords
from minga_node.membership.scuttlebutt import Digest
from minga_node.model import Peer
from minga_node.store import Store
from tests.support.writer import Writer

IDS = ("", "x" * 129, "a\nb", "\x1b[2J", "a b", "-a", "a/b", "ñ")


@pytest.mark.parametrize("id_", IDS)
def test_a_name_that_no_node_may_have_is_none_in_a_record_or_a_digest(id_: str) -> None:
    assert record_problem(Writer(id_).record())
    assert digest_problem(Digest(id_, 5, 6, 7))


@pytest.mark.parametrize("changes", [
    {"host": ""}, {"host": "a b"}, {"host": "a\r\nb"}, {"host": "x" * 256}, {"host": "http://x"},
    {"grpc_port": 0}, {"grpc_port": 65536}, {"rest_port": 65536}, {"data_port": 2**31},
    {"epoch": 0}, {"version": "1\n2"}, {"version": "x" * 65}, {"key": b"x"},
])  # fmt: skip
def test_a_record_with_anything_wrong_has_a_problem(changes: dict[str, Any]) -> None:
    assert record_problem(Writer("a").record(**changes))


@pytest.mark.parametrize("changes", [
    {}, {"host": "peer-1.example.com"}, {"host": "fe80::1%eth0"}, {"host": "10.0.0.1"},
    {"version": "0.1.0+g1"}, {"rest_port": 0, "data_port": 0},
])  # fmt: skip
def test_a_record_as_nodes_have_them_has_none(changes: dict[str, Any]) -> None:
    record = Writer("peer-1.example_5000").record(**changes)
    assert record_problem(record) is None
    assert why_not(record) is None


def test_the_reason_for_a_time_years_ahead_is_a_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    record = Writer("a").record(epoch=1_800_000_000_000_000)
    assert why_not(record) is None
    # Of a process that began with that clock.
    monkeypatch.setattr("minga_node.membership.clock_bounds._BEGAN", 60 * 10**9 - time.monotonic_ns())
    monkeypatch.setattr("minga_node.membership.clock_bounds.time.time", lambda: 60.0)
    monkeypatch.setattr("minga_node.membership.clock_bounds.time.time_ns", lambda: 60 * 10**9)
    said = str(why_not(record))
    assert "1970-01-01" in said
    assert "2027-01-15" in said
    assert "this one is wrong" in said


def test_records_from_the_disk_are_looked_at_like_others(tmp_path: Path) -> None:
    store = Store(tmp_path / "s.db")
    records = MemberRecords(store)
    peers = [Writer(id_).record() for id_ in ("good", *IDS[1:])]
    peers.append(Writer("odd").record(host="a\nb"))
    records.save([KnownMember(5, 6, 0.0, peer=peer, proven=peer.id == "good") for peer in peers], 1.0)
    loaded = records.load(1.0)
    assert list(loaded) == ["good"]
    assert loaded["good"].proven
    store.close()


def test_a_peer_is_equal_whatever_is_said_of_its_birth() -> None:
    assert Peer("a", 1, "h", 1, 2, 3, born=4) == Peer("a", 1, "h", 1, 2, 3)
