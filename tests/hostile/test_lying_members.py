"""Members that lie about others: what they say goes no further, and who hears it is not to blame."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from minga_node.errors import MingaError
from minga_node.membership import Push
from minga_node.membership.crowd import MOST_AT_AN_ADDRESS, MOST_TOLD_BY_AN_UNPROVEN_NODE
from minga_node.membership.messages import Reconcile
from minga_node.membership.scuttlebutt import Digest
from minga_node.metrics import GOSSIP_REFUSED
from minga_node.model import Peer, PeerState
from minga_node.pclient.channels import Channels
from minga_node.pclient.gossip import GossipClient
from tests.support.index_node import IndexNode, Nodes, file, making, until
from tests.support.writer import Writer

pytestmark = pytest.mark.integration

EVIL_IDS = ("x" * 200, "a\nb", "\x1b[2Jred", "x" * 7_000_000, "", "../../etc", "a b")


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[Nodes]:
    with making(tmp_path) as made:
        yield made


@pytest.fixture
def calls() -> Iterator[GossipClient]:
    channels = Channels()
    yield GossipClient(channels)
    channels.close()


def blamed() -> float:
    return sum(
        float(GOSSIP_REFUSED.labels(reason)._value.get())
        for reason in ("protocol", "forged", "claim", "quarantined")
    )


def meet(network: list[IndexNode]) -> None:
    others = len(network) - 1
    until(lambda: all(len(node.membership.alive()) >= others for node in network))


def still_well(network: list[IndexNode], name: str) -> None:
    """A file that is published now is found everywhere: nobody shuns anybody."""
    network[0].index.publish([file(name)])
    until(lambda: all(name in node.names() for node in network), 15)
    names = {node.name for node in network}
    for node in network:
        assert {peer.id for peer in node.membership.alive()} == names - {node.name}


def try_to(call: object, *arguments: object) -> None:
    try:
        call(*arguments)  # type: ignore[operator]
    except MingaError:
        return


def record(id_: str, **changes: Any) -> Peer:
    return Writer(id_).record(**changes)


def test_a_name_that_cannot_be_goes_no_further_and_nobody_is_shunned(
    nodes: Nodes, calls: GossipClient
) -> None:
    network = nodes.network(4)
    meet(network)
    before = blamed()
    target = network[1].peer.grpc_target
    for id_ in EVIL_IDS:
        try_to(calls.join, target, "test", record(id_))
        for sender in (record(id_), record("liar")):
            try_to(calls.push, target, Push("test", sender, (Digest(id_, 5, 9, 1),), peers=(record(id_),)))
            request = Reconcile("test", sender, (Digest(id_, 5, 9, 1, started=3),), 1_000)
            try_to(calls.reconcile, target, request)
    odd: tuple[dict[str, Any], ...] = (
        {"host": "a\nb"},
        {"host": "x" * 300},
        {"grpc_port": 0},
        {"version": "\x1b[2J"},
    )
    for changes in odd:
        try_to(calls.join, target, "test", record("odd", **changes))
    network[0].index.publish([file("after the lies")])
    until(lambda: all("after the lies" in node.names() for node in network), 15)
    for node in network:
        assert not any(id_ in node.membership._view.known for id_ in (*EVIL_IDS, "odd"))
    assert blamed() == before


def _knows(network: list[IndexNode], name: str) -> bool:
    return any(name in node.membership._view.known for node in network)


def test_invented_digests_split_no_network(nodes: Nodes, calls: GossipClient) -> None:
    network = nodes.network(3)
    meet(network)
    before = blamed()
    invented = tuple(Digest(f"nobody-{n}", 5, 9, 7, started=3) for n in range(21_000))
    sender = record("liar")
    for node in network[:2]:
        try_to(calls.push, node.peer.grpc_target, Push("test", sender, invented))
    network[0].index.publish([file("after the push")])
    until(lambda: all("after the push" in node.names() for node in network), 15)
    for node in network:
        assert len(node.membership._view.known) <= len(network)
    assert blamed() == before


def test_who_has_proven_nothing_tells_of_few_others(nodes: Nodes, calls: GossipClient) -> None:
    """Names and keys cost nothing; what is told of is bounded by who tells it."""
    network = nodes.network(3)
    meet(network)
    invented = tuple(record(f"nobody-{n}") for n in range(200))
    target = network[0].peer.grpc_target
    calls.push(target, Push("test", record("liar"), peers=invented))
    known = network[0].membership._view.known
    assert sum(id_.startswith("nobody") for id_ in known) == MOST_TOLD_BY_AN_UNPROVEN_NODE
    network[0].index.publish([file("after the crowd")])
    until(lambda: all("after the crowd" in node.names() for node in network), 15)


def test_a_flood_of_newcomers_from_one_address_takes_nobodys_place(nodes: Nodes, calls: GossipClient) -> None:
    """Each is signed, and each a new name: who speaks for itself needs nobody who tells of it. The honest
    nodes come from the same address here."""
    network = nodes.network(3)
    meet(network)
    until(lambda: all(len(_proven(node)) == 2 for node in network))
    target = network[0]
    for number in range(2 * MOST_AT_AN_ADDRESS):
        # Where this machine is quick enough, some are told to come again.
        try_to(calls.join, target.peer.grpc_target, "test", record(f"nobody-{number}"))
    known = target.membership._view.known
    assert sum(id_.startswith("nobody") for id_ in known) <= MOST_AT_AN_ADDRESS
    assert len(_proven(target)) == 2
    network[1].index.publish([file("after the flood")])
    until(lambda: all("after the flood" in node.names() for node in network), 30)
    late = nodes.make("late", [network[1].url])
    until(lambda: late.membership.joined and "after the flood" in late.names(), 30)


def _proven(node: IndexNode) -> set[str]:
    return {id_ for id_, known in node.membership._view.known.items() if known.proven}


def test_a_new_name_needs_a_signed_record(nodes: Nodes, calls: GossipClient) -> None:
    first, second = nodes.network(2)
    unsigned = replace(record("nobody"), key=b"", signature=b"")
    refused = GOSSIP_REFUSED.labels("unsigned")._value
    before = refused.get()
    calls.push(first.peer.grpc_target, Push("test", record("liar"), peers=(unsigned,)))
    with pytest.raises(MingaError, match="not signed"):
        calls.join(first.peer.grpc_target, "test", unsigned)
    assert refused.get() == before + 1
    assert not _knows([first, second], "nobody")


def test_a_forged_goodbye_removes_nobody_and_a_true_one_is_believed(
    nodes: Nodes, calls: GossipClient
) -> None:
    network = nodes.network(3)
    meet(network)
    target, victim, other = network
    heard: list[tuple[str, PeerState]] = []
    target.membership.on_state.append(lambda status: heard.append((status.peer.id, status.state)))
    address, sender = target.peer.grpc_target, record("liar")
    other_victim = Writer(victim.name, victim.store.epoch)
    for ahead in (0, 100, 10**7):
        forged = other_victim.goodbye(target.membership._view.known[victim.name].heartbeat + ahead)
        for goodbye in (replace(forged, signature=b""), forged):
            calls.leave(address, goodbye)
            digest = Digest(
                goodbye.id, goodbye.epoch, goodbye.heartbeat, 0, left=True, goodbye=goodbye.signature
            )
            calls.push(address, Push("test", sender, (digest,)))
            calls.reconcile(address, Reconcile("test", sender, (digest,), 1_000))
    victim.index.publish([file("after the goodbyes")])
    until(lambda: all("after the goodbyes" in node.names() for node in network), 15)
    assert (victim.name, PeerState.LEFT) not in heard
    nodes.stop(other)
    until(lambda: (other.name, PeerState.LEFT) in heard)


def test_who_only_says_that_it_is_somebody_cannot_have_that_one_blamed(
    nodes: Nodes, calls: GossipClient
) -> None:
    first, second = nodes.network(2)
    meet([first, second])
    other = replace(second.membership.own(), host="198.18.0.1")
    try_to(calls.push, first.peer.grpc_target, Push("test", other, (Digest("first", 2**62, 1, 1),)))
    still_well([first, second], "after the slander")
