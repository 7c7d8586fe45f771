"""Copied disks, restored backups, reused addresses, ways that are open in one direction only, dead seeds."""

from __future__ import annotations

import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from minga_node.errors import Conflict, NotFound, PeerUnreachable
from minga_node.metrics import GOSSIP_BYTES, GOSSIP_REFUSED
from minga_node.model import PeerState
from tests.support.index_node import IndexNode, Nodes, file, making, until
from tests.support.writer import Writer
from tests.waiting import wait_for

pytestmark = pytest.mark.integration


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[Nodes]:
    with making(tmp_path) as made:
        yield made


def copied(nodes: Nodes, node: IndexNode, to: str) -> Path:
    """The state of a node that runs, as a snapshot of its disk has it."""
    target = nodes.directory / to / node.name
    target.mkdir(parents=True)
    with node.store.write():
        shutil.copy(nodes.directory / node.name / "minga.sqlite3", target)
        wal = nodes.directory / node.name / "minga.sqlite3-wal"
        if wal.exists():
            shutil.copy(wal, target)
    return nodes.directory / to


def elsewhere(nodes: Nodes, directory: Path, name: str, *seeds: str, **options: Any) -> IndexNode:
    made = IndexNode(directory, name, seeds, **options)
    nodes.running.append(made.start())
    return made


def blamed() -> float:
    return sum(float(GOSSIP_REFUSED.labels(why)._value.get()) for why in ("protocol", "claim", "quarantined"))


def test_of_two_nodes_with_one_state_the_later_steps_aside_and_both_say_so(nodes: Nodes) -> None:
    first = nodes.make("first")
    original = nodes.make("original", [first.url])
    original.index.publish([file("before")])
    until(lambda: "before" in first.names())
    clone = elsewhere(nodes, copied(nodes, original, "clone"), "original", first.url)
    clone.index.publish([file("of the clone")])

    def told(node: IndexNode) -> bool:
        return any("another node has this one's name" in problem for problem in node.membership.problems)

    until(lambda: told(original) and told(clone), 30)
    assert clone.membership._gossip.twins.aside
    assert not original.membership._gossip.twins.aside
    original.index.publish([file("after")])
    until(lambda: first.index.files_of("original").keys() == {"before", "after"}, 30)
    peer = first.membership.get("original")
    assert peer is not None
    assert peer.grpc_port == original.peer.grpc_port, "the original is found at its own address"
    nodes.stop(original, goodbye=False)
    until(lambda: not clone.membership._gossip.twins.aside, 30)
    until(lambda: first.index.files_of("original").keys() == {"before", "of the clone"}, 30)


def test_a_node_whose_disk_is_an_old_copy_is_heard_at_once(nodes: Nodes) -> None:
    """As docs/operations/backup.md promises. It goes on with files of its own before it hears anybody."""
    first = nodes.make("first")
    second = nodes.make("second", [first.url])
    restored = nodes.make("restored", [first.url])
    restored.index.publish([file("kept")])
    until(lambda: all("kept" in node.names() for node in (first, second)))
    backup = copied(nodes, restored, "backup")
    restored.index.publish([file(f"lost-{n}") for n in range(3)])
    until(lambda: all("lost-2" in node.names() for node in (first, second)))
    nodes.stop(restored, goodbye=False)
    refused = blamed()
    again = IndexNode(backup, "restored", [first.url])
    again.index.publish([file(f"new-{n}") for n in range(7)])
    nodes.running.append(again.start())
    wanted = {"kept", *(f"new-{n}" for n in range(7))}
    until(lambda: all(set(node.index.files_of("restored")) == wanted for node in (first, second)), 15)
    assert blamed() == refused


def test_two_networks_of_one_name_do_not_merge_where_an_address_is_reused(nodes: Nodes) -> None:
    ours = nodes.network(2)
    theirs = [nodes.make("theirs-0")]
    theirs.append(nodes.make("theirs-1", [theirs[0].url]))
    until(lambda: all(len(node.membership.alive()) == 1 for node in (*ours, *theirs)))
    until(lambda: len({node.membership.network_id for node in ours}) == 1)
    _grow_old(*ours, *theirs)
    stranger = ours[1].membership.own()
    with pytest.raises(Conflict, match="another network"):
        theirs[0].calls.join(theirs[0].peer.grpc_target, "test", stranger, ours[0].membership.network_id)
    # An address that one of ours had is one of theirs now.
    with pytest.raises(Conflict):
        ours[0].membership._gossip.meet(theirs[0].membership.own())
    assert all({peer.id for peer in node.membership.alive()} <= {"node-0", "node-1"} for node in ours)
    assert all({peer.id for peer in node.membership.alive()} <= {"theirs-0", "theirs-1"} for node in theirs)


def _grow_old(*nodes: IndexNode) -> None:
    """As if the ids had been made an hour apart, long ago."""
    for node in nodes:
        kept = node.membership._network_id
        wait_for(lambda: kept.said, "somebody else has the id")  # noqa: B023
        when = 10**12 if node.name.startswith("theirs") else 10**12 + 3_600_000
        kept._keep(f"{when:012x}{'0' * 16}")


def test_nodes_that_were_first_at_the_same_time_become_one_network(nodes: Nodes) -> None:
    one, other = nodes.make("one"), nodes.make("other")
    assert one.membership.network_id != other.membership.network_id
    third = nodes.make("third", [one.url, other.url])
    network = (one, other, third)
    until(lambda: all(len(node.membership.alive()) == 2 for node in network))
    until(lambda: len({node.membership.network_id for node in network}) == 1)


def test_the_gone_are_told_once_and_then_only_when_something_changes(nodes: Nodes) -> None:
    network = nodes.network(2)
    first, second = network
    until(lambda: all(len(node.membership.alive()) == 1 for node in network))
    gone = [Writer(f"gone-{n}").record(started=10) for n in range(300)]
    for node in network:
        for peer in gone:
            node.membership._view.learn(peer, time.monotonic() - 100)
        node.membership.upkeep.look_around(joined=True)

    def bytes_of_rounds() -> float:
        counted = GOSSIP_BYTES.labels("in")._value
        before = counted.get()
        for _ in range(10):
            first.membership._gossip.meet(second.membership.own())
        return float(counted.get() - before)

    until(lambda: all(known.resting for id_, known in first.membership._view.known.items() if "gone" in id_))
    until(lambda: bytes_of_rounds() < 60_000, 20)
    # Something changes: one of them lives again, and everybody hears of it.
    writer = Writer("gone-again")
    first.membership._view.learn(writer.record(started=10), time.monotonic() - 100)
    until(lambda: second.membership.get("gone-again") is not None, 10)


def test_who_left_is_forgotten_soon_and_whom_the_user_names_at_once(nodes: Nodes) -> None:
    first = nodes.make("first")
    second = nodes.make("second", [first.url])
    second.index.publish([file("x")])
    until(lambda: "x" in first.names())
    with pytest.raises(Conflict, match="alive"):
        first.membership.forget("second")
    with pytest.raises(NotFound):
        first.membership.forget("nobody")
    nodes.stop(second)
    until(lambda: [s.state for s in first.membership.statuses()] == [PeerState.LEFT])
    first.membership.forget("second")
    assert first.membership.statuses() == ()
    assert first.names() == []
    third = nodes.make("third", [first.url])
    until(lambda: len(first.membership.alive()) == 1)
    first.membership.upkeep.left_seconds = 0.0
    nodes.stop(third)
    until(lambda: first.membership.statuses() == ())


def test_a_node_that_is_heard_and_does_not_answer_is_shown_and_others_are_asked(
    nodes: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = nodes.network(3, dead_seconds=1.0, suspect_seconds=0.8)
    first, second, third = network
    until(lambda: all(len(node.membership.alive()) == 2 for node in network))
    third.index.publish([file("out of reach")])
    until(lambda: "out of reach" in first.names())

    def cut(node: IndexNode) -> None:
        reconcile, ping = node.calls.reconcile, node.calls.ping

        def refused(call: Any) -> Any:
            def called(target: str, *arguments: Any) -> Any:
                if target == third.peer.grpc_target:
                    raise PeerUnreachable("a firewall")
                return call(target, *arguments)

            return called

        monkeypatch.setattr(node.calls, "reconcile", refused(reconcile))
        monkeypatch.setattr(node.calls, "ping", refused(ping))

    def answers() -> str:
        return next(s.answers for s in first.membership.statuses() if s.peer.id == "node-2")

    assert answers() == "yes"
    cut(first)
    until(lambda: answers() == "not here", 30)
    assert not first.membership.is_online("node-2")
    probes = {probe.peer.id: probe for probe in first.membership.probing.look()}
    assert "firewall" in probes["node-2"].problem
    assert (probes["node-1"].problem, probes["node-1"].back) == ("", "")
    back = {probe.peer.id: probe for probe in third.membership.probing.look()}["node-0"]
    assert "firewall" in str(back.back), "and the other one is told that it is not reached"
    cut(second)
    until(lambda: answers() == "nobody", 40)
    monkeypatch.undo()
    until(lambda: answers() == "yes", 30)


def test_dead_seeds_before_a_living_one_cost_no_time(nodes: Nodes) -> None:
    first = nodes.make("first")
    with ExitStack() as stack:
        silent = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(8)]
        dead = [f"http://127.0.0.1:{each.getsockname()[1]}" for each in silent]
        began = time.monotonic()
        second = nodes.make("second", [*dead, first.url])
        until(lambda: second.membership.joined, 60)
        assert time.monotonic() - began < 12, "each says nothing for 3 seconds"


def test_a_clock_that_is_wrong_is_named_as_the_reason(nodes: Nodes, monkeypatch: pytest.MonkeyPatch) -> None:
    first = nodes.make("first")
    monkeypatch.setattr("minga_node.membership.clock_bounds._latest", lambda: 10 * 366 * 86_400_000)
    second = nodes.make("second", [first.url])
    until(lambda: "are years apart" in str(second.membership.problem), 20)
    assert "another key" not in str(second.membership.problem)
