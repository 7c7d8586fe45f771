"""Logs that are signed: what others say of them is compared with what their writer said."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from minga_node.errors import Forged, PeerMisbehaved
from minga_node.index import Delta, Entry, Index, LogState
from minga_node.index.log import tables as index_tables
from minga_node.index.log.logs import SIGNED_EVERY
from minga_node.index.log.signing import KEY, log_statement, verified
from minga_node.membership.scuttlebutt import Digest, need
from minga_node.metrics import GOSSIP_REFUSED
from minga_node.model import LocalFile
from minga_node.store import Store
from tests.support.writer import Writer


class Node:
    """An index, and its store, which is opened again to restart it."""

    def __init__(self, directory: Path, name: str, network: str = "test") -> None:
        self._directory, self._name, self._network = directory, name, network
        self.lies: list[str] = []
        self._open()

    def _open(self) -> None:
        self.store = Store(self._directory / self._name / "s.db")
        self.index = Index(self.store, self._name, self._network)
        self.logs = self.index.logs
        self.logs.on_false.append(self.lies.append)

    def restart(self, network: str | None = None) -> None:
        self.close()
        self._network = network or self._network
        self._open()

    def close(self) -> None:
        self.index.close()
        self.store.close()

    def checks(self, peer_id: str) -> None:
        """What is kept of a log is what is in the tables, and what its writer signed."""
        known = self.logs._known.now(peer_id)
        with self.store.read() as db:
            assert known.total == index_tables.total(db, known.log)
        if known.state.signature:
            signature, state = known.state.signature, known.state
            said = log_statement(self._network, peer_id, state.epoch, state.version, known.total)
            assert verified(signature[:KEY], signature[KEY:], said)


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    made = Node(tmp_path, "me")
    yield made
    made.close()


@pytest.fixture
def writer() -> Writer:
    made = Writer("peer")
    for name in ("first", "second", "third"):
        made.share(name)
    return made


def lies(writer: Writer) -> dict[str, Delta]:
    """What a relay could make of two changes that a reader of version 3 does not have."""
    true = writer.delta(3)
    fresh, gone = true.entries
    forged = Entry(6, "forged", bytes(32))
    impostor = Writer(writer.name, writer.epoch)
    impostor.newest, impostor.version = dict(writer.newest), writer.version
    return {
        "an added entry": replace(true, to_version=6, entries=[fresh, gone, forged]),
        "an added entry of an old version": replace(true, entries=[fresh, gone._replace(name="fourth")]),
        "another content": replace(true, entries=[fresh._replace(content=bytes(32)), gone]),
        "another size": replace(true, entries=[fresh._replace(size=4), gone]),
        "another type": replace(true, entries=[fresh._replace(media_type="text/html"), gone]),
        "a removal": replace(true, entries=[fresh, gone._replace(name="first")]),
        "an omission": replace(true, entries=[gone]),
        "an omitted removal": replace(true, entries=[fresh]),
        "another version": replace(true, to_version=7),
        "an epoch that was not signed": replace(writer.delta(), epoch=writer.epoch + 1),
        "no signature": replace(true, signature=b""),
        "another key": impostor.delta(3),
        "another key's epoch": replace(impostor.delta(), epoch=writer.epoch + 1),
        "the signature of the version before": replace(true, signature=Writer("peer").signature()),
    }


LIES = (
    "an added entry", "an added entry of an old version", "another content", "another size", "another type",
    "a removal", "an omission", "an omitted removal", "another version", "an epoch that was not signed",
    "no signature", "another key", "another key's epoch", "the signature of the version before",
)  # fmt: skip


@pytest.mark.parametrize("lie", LIES)
def test_a_relays_lie_is_refused_and_counted_and_the_truth_is_taken_after_it(
    node: Node, writer: Writer, lie: str
) -> None:
    assert node.index.apply(writer.delta())
    writer.share("fresh", 9)
    writer.remove("second")
    before = node.logs.state("peer"), node.index.files_of("peer"), node.index.count()
    false = lies(writer)[lie]
    foreign = false.signature[:KEY] != writer.signer.key
    reason = "unsigned" if not false.signature else "key"
    refused = GOSSIP_REFUSED.labels(reason)._value.get()
    if foreign:
        assert not node.index.apply(false)
        assert GOSSIP_REFUSED.labels(reason)._value.get() == refused + 1
    else:
        with pytest.raises(Forged):
            node.index.apply(false)
    assert (node.logs.state("peer"), node.index.files_of("peer"), node.index.count()) == before
    assert node.index.by_name("forged") == ()
    assert node.index.apply(writer.delta(3))
    assert node.index.files_of("peer") == writer.files()
    node.checks("peer")


def test_a_lie_among_true_news_takes_none_of_them(node: Node, writer: Writer) -> None:
    other = Writer("other")
    other.share("x")
    bad = replace(writer.delta(), entries=writer.delta().entries[:2])
    with pytest.raises(Forged):
        node.index.apply_all([other.delta(), bad])
    assert node.logs.state("other") is None
    assert node.logs.keys.get("other") is None
    assert node.index.count() == 0


def test_an_old_state_that_was_true_once_is_no_news(node: Node, writer: Writer) -> None:
    old = writer.delta()
    writer.remove("first")
    assert node.index.apply(writer.delta())
    assert not node.index.apply(replace(old, reset=True, compacted=99))
    part = replace(writer.part(4, 4), to_version=5, entries=[Entry(5, "more", bytes(32))])
    with pytest.raises(PeerMisbehaved):
        node.index.apply_all([part, replace(old, reset=True, compacted=99)])
    assert node.index.files_of("peer") == writer.files()


def test_the_first_key_is_kept_through_restarts(node: Node, writer: Writer) -> None:
    node.index.apply(writer.delta())
    node.restart()
    impostor = Writer("peer", epoch=9)
    impostor.share("forged")
    assert not node.index.apply(impostor.delta())
    assert node.index.files_of("peer") == writer.files()
    assert node.logs.state("peer") == LogState(writer.epoch, writer.version, 0, writer.signature())


def test_a_new_epoch_with_the_old_key_replaces_the_log(node: Node, writer: Writer) -> None:
    node.index.apply(writer.delta())
    writer.epoch, writer.version, writer.newest = 8, 0, {}
    writer.share("new")
    assert node.index.apply(writer.delta())
    assert node.index.files_of("peer") == writer.files()
    node.checks("peer")


def test_the_own_log_is_signed_with_each_change_and_each_so_many_entries(node: Node) -> None:
    said: list[Delta] = []
    node.logs.hooks.append(lambda _db, delta: said.append(delta))
    many = SIGNED_EVERY * 2 + 5
    node.index.publish([LocalFile(f"n{n}", f"{n:064x}", 1, "x/y", 1) for n in range(many)])
    node.index.publish([LocalFile("n0", f"{9:064x}", 1, "x/y", 1)])
    node.index.remove(["n1"])
    assert [len(delta.entries) for delta in said] == [SIGNED_EVERY, SIGNED_EVERY, 5, 1, 1]
    node.checks("me")
    other = Node(node.store._path.parent.parent, "other")
    for delta in said:
        assert other.index.apply(delta), "each of them can be checked on its own"
    assert other.index.files_of("me") == node.index.files_of("me")
    node.restart()
    node.checks("me")
    node.logs.renew(node.logs.own.epoch + 1)
    node.checks("me")
    other.close()


def test_what_is_signed_for_one_network_is_nothing_in_another(node: Node, writer: Writer) -> None:
    with pytest.raises(Forged):
        elsewhere = Writer("peer", network="elsewhere")
        elsewhere.share("x")
        node.index.apply(elsewhere.delta())
    node.index.apply(writer.delta())
    node.index.publish([LocalFile("mine", f"{1:064x}", 1, "x/y", 1)])
    node.restart("elsewhere")
    node.checks("me")
    state = node.logs.state("peer")
    assert state is not None
    assert state.unproven
    assert node.logs.delta("peer", 0, 2**20) is None, "it is not given on"


def test_a_relay_says_of_a_file_what_its_writer_said_whoever_told_it_first(tmp_path: Path) -> None:
    relay, reader = Node(tmp_path, "relay"), Node(tmp_path, "reader")
    first, second = Writer("first"), Writer("second")
    for number, each in enumerate((first, second)):
        each.share("same.txt", 7, size=3 + number, media_type=f"text/{number}")
        each.share("also.txt", 8, size=3 + number, media_type=f"text/{number}")
    relay.index.apply_all([first.delta(), second.delta()])
    for name in ("first", "second"):
        delta = relay.logs.delta(name, 0, 2**20)
        assert delta is not None
        assert reader.index.apply(delta)
        reader.checks(name)
        relay.checks(name)
    second.share("same.txt", 9, size=1)
    assert relay.index.apply(second.delta(2))
    relay.checks("second")
    relay.close()
    reader.close()


# In parts


def test_a_part_is_only_taken_in_the_middle_of_a_stream_and_is_not_given_on(
    node: Node, writer: Writer
) -> None:
    node.logs.learn_key("peer", writer.signer.key)
    assert not node.index.apply(writer.part(0, 2))
    assert node.index.apply_all([writer.part(0, 2)], middle=True)
    state = node.logs.state("peer")
    assert state is not None
    assert (state.version, state.unproven) == (2, True)
    assert node.logs.delta("peer", 0, 2**20) is None
    node.restart()
    assert node.index.apply(writer.delta(2))
    state = node.logs.state("peer")
    assert state is not None
    assert not state.unproven
    assert node.lies == []
    node.checks("peer")


def test_false_parts_are_dropped_when_the_end_does_not_fit_and_all_of_it_is_taken_anew(
    node: Node, writer: Writer
) -> None:
    node.logs.learn_key("peer", writer.signer.key)
    part = writer.part(0, 2)
    node.index.apply_all(
        [replace(part, entries=[Entry(1, "forged", bytes(32)), part.entries[1]])], middle=True
    )
    assert node.index.by_name("forged")
    assert not node.index.apply(writer.delta(2))
    assert (node.lies, node.index.count()) == (["peer"], 0)
    state = node.logs.state("peer")
    assert state is not None
    assert state.version == 0
    assert node.index.apply(writer.delta())
    assert node.index.files_of("peer") == writer.files()


def test_parts_beyond_what_was_ever_written_give_way_to_the_truth(node: Node, writer: Writer) -> None:
    node.logs.learn_key("peer", writer.signer.key)
    forged = Delta("peer", 5, 0, 1000, False, 0, [Entry(1000, "forged", bytes(32))])
    node.index.apply_all([forged], middle=True)
    theirs = Digest("peer", 5, 1, 1000, unproven=True)
    lacking = need(Digest("peer", 5, 1, writer.version), theirs)
    assert lacking is not None
    assert (lacking.from_version, lacking.reset) == (0, True)
    assert node.index.apply(writer.delta(reset=True))
    assert node.index.files_of("peer") == writer.files()
    node.checks("peer")


@pytest.mark.parametrize("then", [1, 2, 3])
def test_parts_whose_end_does_not_follow_are_left_alone_and_nobody_is_to_blame(
    node: Node, writer: Writer, then: int
) -> None:
    for n in range(5):
        writer.share(f"more {n}")
    writer.remove("more 0")
    version = writer.version
    middle = version - then
    # Its sender dropped tombstones while the stream ran: that many parts came after it.
    parts = [
        writer.part(0, middle),
        *(replace(writer.part(n, n + 1), compacted=version) for n in range(middle, version - 1)),
        writer.delta(version - 1, compacted=version),
    ]
    assert node.index.apply_all(parts) == ()
    assert node.index.files_of(writer.name) == {}
    assert node.logs.state(writer.name) == LogState(writer.epoch, 0)
    node.checks(writer.name)
    assert node.index.apply_all([writer.part(0, middle), writer.delta(middle)])
    assert node.index.files_of(writer.name) == writer.files()


def test_parts_do_not_begin_an_epoch(node: Node, writer: Writer) -> None:
    node.index.apply(writer.delta())
    forged = Delta("peer", 9, 0, 1000, False, 0, [Entry(1000, "forged", bytes(32))])
    assert not node.index.apply_all([forged], middle=True)
    assert node.index.files_of("peer") == writer.files()


def test_who_lacks_the_signature_alone_gets_it_without_entries(tmp_path: Path, node: Node) -> None:
    """As in a network whose nodes are brought to this release one after the other."""
    node.index.publish([LocalFile(f"n{n}", f"{n:064x}", 1, "x/y", 1) for n in range(5)])
    reader = Node(tmp_path, "reader")
    whole = node.logs.delta("me", 0, 2**20)
    assert whole is not None
    assert reader.index.apply(replace(whole, signature=b"")), "nobody has told a key of this writer"
    state = reader.logs.state("me")
    assert state is not None
    assert not state.unproven
    assert reader.logs.delta("me", 0, 2**20) is not None
    reader.logs.learn_key("me", node.logs.keys.own.key)
    state = reader.logs.state("me")
    assert state is not None
    assert state.unproven
    lacking = need(Digest("me", state.epoch, 1, 5), Digest("me", state.epoch, 1, 5, unproven=True))
    assert lacking is not None
    found = node.logs.delta("me", lacking.from_version, 2**20)
    assert found is not None
    assert list(found.entries) == []
    assert reader.index.apply(found)
    assert reader.logs.state("me") == node.logs.own
    reader.close()


# Anything, again and again


@pytest.mark.parametrize("seed", range(6))
def test_however_logs_change_and_travel_the_hashes_agree(tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    nodes = [Node(tmp_path, f"node-{n}") for n in range(4)]
    for _ in range(200):
        act = dice.choice([change, change, change, compact, gossip, gossip, gossip, restart])
        act(dice, nodes)
    # Now and then parts of a newer state do not go with an older end; then all of it is taken anew.
    for _ in range(50):
        for node in nodes:
            for other in nodes:
                travel(node, other, 2**20)
    for node in nodes:
        for other in nodes:
            assert node.index.files_of(other.index.self_id) == other.index.files_of(other.index.self_id)
            node.checks(other.index.self_id)
            theirs = node.logs.state(other.index.self_id)
            assert theirs is not None
            assert theirs.signature == other.logs.own.signature
    for node in nodes:
        node.close()


def change(dice: random.Random, nodes: list[Node]) -> None:
    node = dice.choice(nodes)
    names = [f"name-{dice.randrange(12)}" for _ in range(dice.randint(1, 6))]
    if dice.random() < 0.4:
        node.index.remove(names)
    else:
        media = dice.choice(["x/y", "a/b"])
        node.index.publish([
            LocalFile(name, f"{dice.randrange(4):064x}", 3, media, dice.randrange(3)) for name in names
        ])


def compact(dice: random.Random, nodes: list[Node]) -> None:
    node = dice.choice(nodes)
    own = node.index.self_id
    node.logs.compact(own, dice.randrange(node.logs.own.version + 1))
    for other in nodes:
        # As the digests of a round do it.
        state = other.logs.state(own)
        if state is not None and state.compacted < node.logs.own.compacted <= state.version:
            other.logs.compact(own, node.logs.own.compacted)


def gossip(dice: random.Random, nodes: list[Node]) -> None:
    giver, taker = dice.sample(nodes, 2)
    travel(giver, taker, dice.choice([150, 400, 2**20]))


def restart(dice: random.Random, nodes: list[Node]) -> None:
    dice.choice(nodes).restart()


def travel(giver: Node, taker: Node, budget: int) -> None:
    """Some of all that one has and the other lacks."""
    for writer, state in giver.logs.states().items():
        if writer == taker.index.self_id:
            continue
        theirs = taker.logs.state(writer)
        lacking = need(digest(writer, state), digest(writer, theirs) if theirs else None)
        if lacking is None:
            continue
        found = giver.logs.delta(writer, lacking.from_version, budget, reset=lacking.reset)
        if found is not None:
            taker.index.apply_all([found], middle=True)
            taker.checks(writer)


def digest(id_: str, state: LogState) -> Digest:
    return Digest(id_, state.epoch, 1, state.version, state.compacted, unproven=state.unproven)
