"""A member that relays false entries of a third node's log: by each channel, real calls and a real broker."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from minga_node.errors import PeerMisbehaved
from minga_node.events import Event, Outbox, make
from minga_node.events.files import events_of
from minga_node.index import Delta, Entry
from minga_node.local.broker import PrivateBroker, private
from minga_node.membership import Push, Reconciled
from minga_node.membership.scuttlebutt import Digest
from minga_node.metrics import GOSSIP_REFUSED
from minga_node.model import Peer
from minga_node.mom import BrokerAddresses, Mom
from tests.support.index_node import IndexNode, Nodes, file, making
from tests.support.writer import Writer
from tests.waiting import wait_for

pytestmark = pytest.mark.integration

HOUR = 3600.0
LATER = time.time_ns() // 1_000_000 + 86_400_000
"""A heartbeat that is newer than all that come in this test."""


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateBroker]:
    with private(tmp_path_factory.mktemp("broker")) as running:
        yield running


@dataclass
class Scene:
    """``owner`` writes a log, ``reader`` knows an old version of it, ``liar`` the newest."""

    owner: IndexNode
    liar: IndexNode
    reader: IndexNode
    old: int
    network: str

    def true(self) -> Delta:
        """What an honest relay would give."""
        found = self.liar.index.logs.delta("owner", self.old, 2**20)
        assert found is not None
        return found

    def digest(self, epoch: int, version: int) -> Digest:
        return Digest("owner", epoch, LATER, version, started=self.owner.membership.own().started + 1)

    def known(self) -> object:
        """All that the reader knows of the owner and its files."""
        peer = self.reader.membership.get("owner")
        logs = self.reader.index.logs
        return logs.state("owner"), logs.keys.get("owner"), self.reader.contents(), peer


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    network = tmp_path.name
    with making(tmp_path) as nodes:
        owner = quiet(nodes, "owner", network)
        owner.index.publish([file("first"), file("second", 2), file("third", 3)])
        liar, reader = quiet(nodes, "liar", network, owner), quiet(nodes, "reader", network, owner)
        for each in (liar, reader):
            wait_for(lambda each=each: each.membership.joined, "it has joined")  # type: ignore[misc]
            wait_for(lambda each=each: len(each.index.files_of("owner")) == 3, "it knows")  # type: ignore[misc]
        reader.membership.hear_of(liar.membership.own())
        old = owner.index.logs.own.version
        owner.index.publish([file("fresh", 4), file("newer", 5)])
        owner.index.remove(["second"])
        meet(liar, owner)
        assert set(liar.index.files_of("owner")) == {"first", "third", "fresh", "newer"}
        assert "second" in reader.index.files_of("owner")
        yield Scene(owner, liar, reader, old, network)


def quiet(nodes: Nodes, name: str, network: str, *seeds: IndexNode) -> IndexNode:
    """A node that joins, and then says nothing by itself."""
    node = IndexNode(
        nodes.directory,
        name,
        [seed.url for seed in seeds],
        network=network,
        suspect_seconds=HOUR,
        dead_seconds=HOUR,
        eager=lambda: False,
    )
    node.membership._partners.submit = lambda peer: None  # type: ignore[method-assign]
    nodes.running.append(node.start())
    return node


def meet(caller: IndexNode, callee: IndexNode) -> None:
    caller.membership._gossip.meet(callee.membership.own())


def added(scene: Scene) -> Delta:
    true = scene.true()
    forged = Entry(true.to_version + 1, "forged", bytes(32), 1, "x/y", 1)
    return replace(true, to_version=forged.version, entries=[*true.entries, forged])


def changed(scene: Scene) -> Delta:
    true = scene.true()
    return replace(true, entries=[true.entries[0]._replace(content=bytes(32)), *true.entries[1:]])


def removed(scene: Scene) -> Delta:
    true = scene.true()
    return replace(true, entries=[Entry(true.entries[0].version, "first", None), *true.entries[1:]])


def omitted(scene: Scene) -> Delta:
    true = scene.true()
    return replace(true, entries=true.entries[:-1])


def foreign(scene: Scene) -> Delta:
    return impostor(scene).delta()


def impostor(scene: Scene) -> Writer:
    made = Writer("owner", scene.owner.store.epoch + 1, scene.network)
    made.share("forged")
    return made


LIES: dict[str, Callable[[Scene], Delta]] = {
    "an added entry": added,
    "a changed content": changed,
    "a removal": removed,
    "an omission": omitted,
    "an epoch with another key": foreign,
}


def record(scene: Scene, lie: Delta) -> tuple[Peer, ...]:
    """An impostor tells of its own addresses, too."""
    if lie.epoch == scene.owner.index.logs.own.epoch:
        return ()
    return (impostor(scene).record(LATER),)


def by_push(scene: Scene, lie: Delta) -> None:
    message = Push(
        scene.network,
        scene.liar.membership.own(),
        (scene.digest(lie.epoch, lie.to_version),),
        (lie,),
        record(scene, lie),
    )
    scene.liar.calls.push(scene.reader.peer.grpc_target, message)


def by_answer(scene: Scene, lie: Delta) -> None:
    said = Reconciled(
        "liar", (scene.digest(lie.epoch, lie.to_version),), (lie,), (), False, record(scene, lie)
    )
    scene.liar.membership._gossip.answer = lambda request: said  # type: ignore[method-assign]
    meet(scene.reader, scene.liar)


def by_stream(scene: Scene, lie: Delta) -> None:
    said = Reconciled("liar", (scene.digest(lie.epoch, lie.to_version),), (), (), True, record(scene, lie))
    scene.liar.membership._gossip.answer = lambda request: said  # type: ignore[method-assign]
    # In parts, as it is with a long log.
    middle = lie.entries[0].version
    first = replace(lie, to_version=middle, entries=lie.entries[:1], signature=b"")
    rest = replace(lie, from_version=middle, entries=lie.entries[1:])
    parts = [first, rest] if len(lie.entries) > 1 else [lie]
    scene.liar.membership._gossip.serve = lambda *_: iter(parts)  # type: ignore[method-assign]
    meet(scene.reader, scene.liar)


CHANNELS = {"a push": by_push, "an answer": by_answer, "a stream": by_stream}


def refusals() -> float:
    return sum(float(GOSSIP_REFUSED.labels(reason)._value.get()) for reason in ("forged", "key", "unsigned"))


def truth_comes(scene: Scene) -> None:
    meet(scene.reader, scene.owner)
    assert scene.reader.index.files_of("owner") == scene.owner.index.files_of("owner")
    # The owner drops tombstones when it has a moment, and the reader when it hears of that.
    held = scene.reader.index.logs.state("owner")
    assert held is not None
    assert replace(held, compacted=0) == replace(scene.owner.index.logs.own, compacted=0)


@pytest.mark.parametrize("channel", CHANNELS.values(), ids=CHANNELS)
@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
def test_a_lie_is_refused_counted_and_changes_nothing(
    scene: Scene, lie: Callable[[Scene], Delta], channel: Callable[[Scene, Delta], None]
) -> None:
    false, before, refused = lie(scene), scene.known(), refusals()
    # A relay may be right that a node has another key.
    with nullcontext() if lie is foreign else pytest.raises(PeerMisbehaved):
        channel(scene, false)
    assert scene.known() == before
    assert scene.reader.index.by_name("forged") == ()
    assert refusals() > refused
    assert scene.reader.membership._gossip.conduct.refused("liar") == (lie is not foreign)
    scene.reader.membership._gossip.name_conflicts.settle()
    assert scene.known() == before, "the owner was asked, and lives"
    truth_comes(scene)


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
def test_an_event_that_lies_is_refused_counted_and_changes_nothing(
    scene: Scene, broker: PrivateBroker, lie: Callable[[Scene], Delta]
) -> None:
    false, before, refused = lie(scene), scene.known(), refusals()
    false = replace(false, to_version=false.entries[-1].version)
    heard: list[str] = []
    reader, _ = end(scene.reader, scene, broker, lambda event: heard.append(event.id))
    liar, lies = end(scene.liar, scene, broker, print)
    try:
        for mom in (reader, liar):
            wait_for(lambda mom=mom: mom.connected, "the broker")  # type: ignore[misc]
        lies.add(events_of(scene.network, false))
        done: dict[str, str | int | bool] = {"peer": "liar", "epoch": 1, "heartbeat": 1}
        lies.add([make(scene.network, "peer.left", "liar", "the-end", **done)])
        wait_for(lambda: heard, "all has been heard")
        assert scene.known() == before
        assert scene.reader.index.by_name("forged") == ()
        assert refusals() > refused
        scene.owner.index.publish([file("after", 6)])
        meet(scene.liar, scene.owner)
        # Parts of the lie that waited for a signature spoil the truth no more.
        lies.add(events_of(scene.network, replace(scene.true(), peer_id="owner")))
        lies.add([make(scene.network, "peer.left", "liar", "the-very-end", **done)])
        wait_for(lambda: len(heard) == 2, "all has been heard")
        assert scene.reader.index.by_name("forged") == ()
    finally:
        for mom in (reader, liar):
            mom.stop()
    truth_comes(scene)


def end(
    node: IndexNode, scene: Scene, broker: PrivateBroker, hear: Callable[[Event], None]
) -> tuple[Mom, Outbox]:
    """A node's end of the broker; it does not ask anybody for what it misses."""
    outbox = Outbox(node.store)
    handlers: dict[str, Callable[[Event], None]] = {"peer.left": hear}
    addresses = BrokerAddresses([broker.url])
    mom = Mom(addresses, scene.network, node.index, node.store, outbox, handlers, work=print)
    mom.start()
    return mom, outbox
