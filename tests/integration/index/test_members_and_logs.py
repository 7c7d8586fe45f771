"""Nodes find each other, and each knows what all share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest

from minga_node.errors import Conflict, PeerMisbehaved
from minga_node.index import Delta, Entry
from minga_node.membership import Push
from minga_node.membership.scuttlebutt import Digest
from minga_node.metrics import GOSSIP_REFUSED, GRPC_REQUESTS
from minga_node.model import PeerState, PeerStatus
from tests.support.index_node import Nodes, file, making, until

pytestmark = pytest.mark.integration


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[Nodes]:
    with making(tmp_path) as made:
        yield made


def test_a_file_published_at_one_node_is_found_at_all(nodes: Nodes) -> None:
    network = nodes.network(4)
    until(lambda: all(len(node.membership.alive()) == 3 for node in network))
    network[2].index.publish([file("Información.pdf")])
    until(lambda: all(node.names("informacion") == ["Información.pdf"] for node in network))
    network[2].index.remove(["Información.pdf"])
    until(lambda: all(node.names() == [] for node in network))
    assert [node.names("informacion") for node in network] == [[]] * 4


def test_a_newcomer_catches_up_in_chunks(nodes: Nodes, monkeypatch: pytest.MonkeyPatch) -> None:
    for end in ("gossip", "callee"):
        monkeypatch.setattr(f"minga_node.membership.{end}.DELTA_BYTES", 2_000)
    first = nodes.make("first")
    first.index.publish([file(f"name-{n}", n + 1) for n in range(500)])
    streams = GRPC_REQUESTS.labels("/minga.v1.Index/Fetch", "OK")._value
    before = streams.get()
    second = nodes.make("second", [first.url])
    until(lambda: len(second.index.files_of("first")) == 500)
    assert streams.get() > before, "what does not fit into a round comes in a stream"
    assert second.contents()["first"] == first.contents()["first"]


def test_a_stream_of_another_nodes_entries_of_ours_is_refused(
    nodes: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    for end in ("gossip", "callee"):
        monkeypatch.setattr(f"minga_node.membership.{end}.DELTA_BYTES", 2_000)
    first = nodes.make("first")
    first.index.publish([file(f"name-{n}", n + 1) for n in range(500)])
    forged = Delta("second", 2**60, 0, 1, False, 0, [Entry(1, "forged", bytes(32))])
    monkeypatch.setattr(first.membership._gossip, "serve", lambda *_: iter([forged]))
    refused = GOSSIP_REFUSED.labels("protocol")._value
    before = refused.get()
    second = nodes.make("second", [first.url])
    until(lambda: second.membership._gossip.conduct.refused("first"))
    assert refused.get() == before + 1
    assert second.index.by_name("forged") == ()


def test_a_node_without_its_seed_serves_and_says_so(nodes: Nodes) -> None:
    alone = nodes.make("alone", ["http://127.0.0.1:9"])
    until(lambda: alone.membership.problem is not None and "127.0.0.1:9" in alone.membership.problem)
    assert not alone.membership.joined


def test_another_network_is_refused(nodes: Nodes) -> None:
    first = nodes.make("first", network="ours")
    other = nodes.make("other", [first.url], network="theirs")
    until(lambda: "network 'ours'" in (other.membership.problem or ""))
    assert first.membership.alive() == ()


def test_a_goodbye_is_known_everywhere_without_suspicion(nodes: Nodes) -> None:
    network = nodes.network(3)
    until(lambda: all(len(node.membership.alive()) == 2 for node in network))
    changes: list[PeerStatus] = []
    for node in network[:2]:
        node.membership.on_state.append(changes.append)
    nodes.stop(network[2])
    for node in network[:2]:
        view = node.membership
        until(lambda view=view: _state(view.statuses(), "node-2") is PeerState.LEFT)  # type: ignore[misc]

    def told() -> list[PeerState]:
        """What the others were told of it, but for news of before."""
        states = [change.state for change in changes if change.peer.id == "node-2"]
        return [state for state in states if state is not PeerState.ALIVE]

    until(lambda: len(told()) >= 2)
    assert told() == [PeerState.LEFT, PeerState.LEFT], "neither suspected nor dead"


def _state(statuses: Sequence[PeerStatus], name: str) -> PeerState:
    return next(status.state for status in statuses if status.peer.id == name)


def test_a_node_that_dies_is_suspected_then_dead_and_its_files_have_no_holder_online(nodes: Nodes) -> None:
    network = nodes.network(2, suspect_seconds=0.5, dead_seconds=1.0)
    network[1].index.publish([file("a.txt")])
    until(lambda: network[0].names() == ["a.txt"])
    assert network[0].index.by_name("a.txt")[0].available
    nodes.stop(network[1], goodbye=False)
    seen = set()

    def state() -> PeerState:
        (status,) = network[0].membership.statuses()
        seen.add(status.state)
        return status.state

    until(lambda: state() is PeerState.DEAD)
    assert PeerState.SUSPECT in seen
    assert not network[0].index.by_name("a.txt")[0].available


def test_a_node_that_returns_with_its_state_sends_nothing_again(nodes: Nodes) -> None:
    first, second = nodes.network(2)
    second.index.publish([file("a.txt"), file("b.txt", 2)])
    until(lambda: len(first.names()) == 2)
    nodes.stop(second)
    applied: list[Delta] = []
    before = first.index.logs.apply

    def counting(news: Sequence[Delta], *, middle: bool = False) -> tuple[Delta, ...]:
        applied.extend(news)
        return before(news, middle=middle)

    first.index.logs.apply = counting  # type: ignore[method-assign]
    again = nodes.make("node-1", [first.url])
    until(lambda: first.index.by_name("a.txt")[0].available)
    assert applied == []
    again.index.publish([file("c.txt", 3)])
    until(lambda: first.names() == ["a.txt", "b.txt", "c.txt"])
    # It may come by a push and by a round of gossip at once.
    assert {entry.name for delta in applied for entry in delta.entries} == {"c.txt"}


def test_a_node_that_lost_its_state_starts_anew_and_its_old_entries_vanish(
    nodes: Nodes, tmp_path: Path
) -> None:
    network = nodes.network(3)
    network[2].index.publish([file("old.txt")])
    until(lambda: all(node.names() == ["old.txt"] for node in network))
    nodes.stop(network[2])
    (tmp_path / "node-2" / "minga.sqlite3").unlink()
    again = nodes.make("node-2", [network[0].url])
    until(lambda: all(node.names() == [] for node in network[:2]))
    again.index.publish([file("new.txt")])
    until(lambda: all(node.names() == ["new.txt"] for node in network[:2]))
    assert [len(node.contents()["node-2"]) for node in network[:2]] == [1, 1]


def test_tombstones_go_when_every_live_node_has_seen_them(nodes: Nodes) -> None:
    network = nodes.network(3)
    until(lambda: all(len(node.membership.alive()) == 2 for node in network))
    for round_ in range(20):
        network[0].index.publish([file(f"churn-{round_}")])
        network[0].index.remove([f"churn-{round_}"])

    def tombstones() -> int:
        rows = [node.store.rows("SELECT count(*) FROM tombstones")[0] for node in network]
        return sum(count for (count,) in rows)

    until(lambda: tombstones() == 0 and all(node.names() == [] for node in network), 20)
    assert {node.index.logs.states()["node-0"].version for node in network} == {40}


def test_two_nodes_cannot_have_one_name(nodes: Nodes, tmp_path: Path) -> None:
    first, second = nodes.network(2)
    until(lambda: len(first.membership.alive()) == 1)
    with making(tmp_path / "other") as others:
        double = others.make(second.name, [first.url])
        until(lambda: "is taken" in (double.membership.problem or ""))
        assert not double.membership.joined


def test_entries_of_a_nodes_own_log_are_refused_and_their_sender_is_not_heard(nodes: Nodes) -> None:
    first, second = nodes.network(2)
    until(lambda: len(first.membership.alive()) == 1)
    first.index.publish([file("mine.txt")])
    forged = Delta("node-0", first.index.logs.own.epoch, 1, 2, False, 0, [Entry(2, "mine.txt", None)])
    message = Push("test", second.membership.own(), (), (forged,))
    with pytest.raises(PeerMisbehaved, match="own log"):
        second.calls.push(first.peer.grpc_target, message)
    with pytest.raises(Conflict, match="not heard"):
        second.calls.push(first.peer.grpc_target, message)
    assert first.names() == ["mine.txt"]


def test_garbage_and_a_million_entries_at_once_are_refused_and_counted(
    nodes: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = nodes.network(2)
    wait = GOSSIP_REFUSED.labels("garbage")._value.get()
    with grpc.insecure_channel(first.peer.grpc_target) as channel:
        call: Any = channel.unary_unary("/minga.v1.Index/Push")
        with pytest.raises(grpc.RpcError) as refused:
            call(b"\xff\xff\xff", timeout=5)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert GOSSIP_REFUSED.labels("garbage")._value.get() == wait + 1
    entries = [Entry(n, f"n{n}", bytes(32)) for n in range(1, 60_000)]
    too_much = Push("test", second.membership.own(), (), (Delta("node-1", 1, 0, 60_000, False, 0, entries),))
    with pytest.raises(PeerMisbehaved, match="at once"):
        second.calls.push(first.peer.grpc_target, too_much)
    with pytest.raises(Conflict, match="not heard"):
        second.calls.push(first.peer.grpc_target, Push("test", second.membership.own()))
    assert first.names() == []


def test_a_peer_that_claims_what_it_does_not_send_is_not_heard(
    nodes: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = nodes.network(2)
    real = second.membership._gossip.digests

    def boasting(since: int | None = None) -> dict[str, Digest]:
        return {
            id_: replace(digest, version=1000) if id_ == "node-1" else digest
            for id_, digest in real(since).items()
        }

    monkeypatch.setattr(second.membership._gossip, "digests", boasting)
    until(lambda: first.membership._gossip.conduct.refused("node-1"))
    assert first.index.files_of("node-1") == {}
    first.index.publish([file("still-works.txt")])
    assert first.names() == ["still-works.txt"]
