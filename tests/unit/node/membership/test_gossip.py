"""One node's half of a round, without the other."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from minga_node.errors import Conflict, Forged, PeerMisbehaved, PeerUnreachable
from minga_node.index import Delta, Entry, Index
from minga_node.membership.clock_bounds import AHEAD_MS
from minga_node.membership.goodbyes import Goodbye
from minga_node.membership.gossip import Gossip
from minga_node.membership.identities import ASK_SECONDS
from minga_node.membership.member_records import MemberRecords
from minga_node.membership.messages import Joined, Push, Reconcile
from minga_node.membership.network_id import NetworkId
from minga_node.membership.peer_conduct import PATIENCE
from minga_node.membership.scuttlebutt import Digest
from minga_node.membership.view import View
from minga_node.metrics import GOSSIP_REFUSED
from minga_node.model import LocalFile, Peer, PeerState
from minga_node.pclient.messages import digest_to_message
from minga_node.pclient.peers import to_message
from minga_node.store import Store
from tests.support.writer import Writer

TELLER = Writer("teller").record()
OTHER = Writer("other").record()


class Nobody:
    """Calls that nobody makes here, but for one question: who answers at an address."""

    def __init__(self, answers: Peer | None = None) -> None:
        self.answers = answers
        self.asked = 0

    def join(self, _target: str, _network: str, _peer: Peer, _network_id: str = "") -> Joined:
        self.asked += 1
        if self.answers is None:
            raise PeerUnreachable("nobody")
        return Joined(self.answers)

    def __getattr__(self, name: str) -> Any:
        return lambda *_: None


class Half:
    """One node without its calls, and its clock."""

    def __init__(self, directory: Path) -> None:
        self.now, self.calls = 0.0, Nobody()
        self.store = Store(directory / "s.db")
        self.index = Index(self.store, "me", "test")
        self.view = View("me", 5, 15)
        self_peer = Peer("me", 5, "h", 1, 2, 3)
        self.gossip = Gossip(
            self.index,
            self.view,
            self.calls,
            lambda: self_peer,
            "test",
            lambda: self.now,
            network_id=NetworkId(self.store),
        )

    def epoch(self, id_: str) -> int:
        return self.view.known[id_].epoch


@pytest.fixture
def half(tmp_path: Path) -> Iterator[Half]:
    made = Half(tmp_path)
    yield made
    made.index.close()
    made.store.close()


@pytest.fixture
def owner(half: Half) -> Writer:
    """A node that the half knows, with a file."""
    made = Writer("owner")
    made.share("true")
    half.gossip.hearing.learn(made.record(), alive=True)
    half.index.apply(made.delta())
    return made


def push(
    half: Half, sender: Peer, *deltas: Delta, digests: Sequence[Digest] = (), peers: Sequence[Peer] = ()
) -> bool:
    return half.gossip.take_push(Push("test", sender, tuple(digests), deltas, tuple(peers)))


def test_a_record_that_its_node_did_not_sign_is_refused_and_who_tells_it_is_not_heard(
    half: Half, owner: Writer
) -> None:
    with pytest.raises(Forged):
        push(half, TELLER, peers=[replace(owner.record(2), host="198.18.0.1")])
    assert half.gossip.conduct.refused("teller")
    assert half.view.known["owner"].peer == owner.record()


def test_who_sends_back_what_this_node_wrote_a_moment_ago_is_not_to_blame(half: Half) -> None:
    half.index.publish([LocalFile("mine", f"{1:064x}", 1, "x/y", 1)])
    half.gossip.hearing.confirmed = True
    own = half.index.logs.delta("me", 0, 2**20)
    assert own is not None
    assert not push(half, TELLER, own)
    assert not half.gossip.conduct.refused("teller")
    with pytest.raises(PeerMisbehaved, match="own log"):
        push(half, TELLER, replace(own, to_version=2, signature=b""))
    assert half.gossip.conduct.refused("teller")


def test_who_brings_entries_that_this_node_signed_and_lost_is_only_in_doubt(half: Half) -> None:
    half.index.publish([LocalFile("mine", f"{1:064x}", 1, "x/y", 1)])
    half.gossip.hearing.confirmed = True
    own = half.index.logs.delta("me", 0, 2**20)
    assert own is not None
    assert not push(half, TELLER, replace(own, to_version=2))
    assert half.index.logs.own.epoch > own.epoch, "it begins a new epoch"
    for _ in range(2):
        assert not half.gossip.conduct.refused("teller")
        push(half, TELLER, replace(own, epoch=half.index.logs.own.epoch, to_version=2))
    assert half.gossip.conduct.refused("teller"), "whoever goes on with it lies"


def test_a_sender_that_is_not_who_it_says_discredits_nobody(half: Half, owner: Writer) -> None:
    with pytest.raises(Forged):
        push(half, replace(owner.record(2), host="198.18.0.1"))
    assert not half.gossip.conduct.refused("owner")
    with pytest.raises(Conflict, match="another node's"):
        push(half, Writer("owner", 9).record(2))
    assert not half.gossip.conduct.refused("owner")


def test_a_digest_of_an_epoch_that_its_node_has_not_signed_changes_nothing(half: Half, owner: Writer) -> None:
    push(half, TELLER, digests=[Digest("owner", 9, 99, 7, started=98)])
    half.gossip.hearing.learn(owner.record())
    assert half.epoch("owner") == owner.epoch
    assert half.index.files_of("owner") == owner.files()
    half.view.heard_goodbye(Goodbye("owner", 9, 99))
    assert half.view.state("owner", 0.0) is PeerState.ALIVE
    owner.epoch, owner.newest, owner.version = 9, {}, 0
    push(
        half,
        TELLER,
        digests=[Digest("owner", 9, 99, 7, started=98)],
        peers=[owner.record(98)],
    )
    assert half.epoch("owner") == 9
    assert half.index.files_of("owner") == {}, "the node itself says that it begins anew"


def test_what_was_told_of_an_epoch_before_the_first_signed_record_does_not_count(half: Half) -> None:
    later = time.time_ns() // 1000
    push(half, TELLER, digests=[Digest("owner", later, later // 1000, 7)])
    owner = Writer("owner")
    assert half.gossip.hearing.learn(owner.record())
    assert half.epoch("owner") == owner.epoch


@pytest.mark.parametrize(("answers", "silence", "has_it"), [
    ("the owner", 0.0, False),
    ("the owner", 60.0, False),
    ("nobody", 0.0, False),
    ("nobody", 60.0, True),
    ("the other", 0.0, True),
    ("a third", 0.0, False),
])  # fmt: skip
def test_a_name_goes_to_another_key_only_when_its_node_is_gone(
    half: Half, owner: Writer, answers: str, silence: float, has_it: bool
) -> None:
    other = Writer("owner", 3)
    other.share("other")
    half.now = silence
    half.calls.answers = {
        "the owner": owner.record(),
        "nobody": None,
        "the other": other.record(),
        "a third": Writer("owner").record(),
    }[answers]
    assert not half.gossip.hearing.learn(other.record(), alive=True)
    assert half.gossip.name_conflicts.contested
    half.gossip.name_conflicts.settle()
    assert half.calls.asked == 1
    assert half.gossip.hearing.learn(other.record()) is has_it
    half.index.apply(other.delta())
    assert half.index.files_of("owner") == (other.files() if has_it else owner.files())
    assert half.index.logs.keys.get("owner") == (other if has_it else owner).signer.key


def test_a_goodbye_that_somebody_else_said_does_not_give_the_name_away(half: Half, owner: Writer) -> None:
    half.view.heard_goodbye(Goodbye("owner", owner.epoch, 2**40))
    assert half.view.state("owner", 0.0) is PeerState.LEFT
    half.calls.answers = owner.record()
    half.gossip.hearing.learn(Writer("owner", 9).record())
    half.gossip.name_conflicts.settle()
    assert half.index.files_of("owner") == owner.files()


def left(goodbye: Goodbye) -> Digest:
    return Digest(goodbye.id, goodbye.epoch, goodbye.heartbeat, 1, left=True, goodbye=goodbye.signature)


def test_who_left_says_so_itself_whoever_brings_it(half: Half, owner: Writer) -> None:
    forged = (
        replace(owner.goodbye(99), signature=b""),
        Writer("owner").goodbye(99),
        replace(owner.goodbye(98), heartbeat=99),
        replace(owner.goodbye(99, epoch=4), epoch=5),
    )
    for goodbye in forged:
        push(half, TELLER, digests=[left(goodbye)])
        assert not half.gossip.hearing.hear_goodbye(goodbye)
        assert half.view.state("owner", 0.0) is PeerState.ALIVE
        assert not half.gossip.conduct.refused("teller")
    push(half, TELLER, digests=[left(owner.goodbye(99))])
    assert half.view.state("owner", 0.0) is PeerState.LEFT
    records = MemberRecords(half.store)
    records.save(half.view.known.values(), half.now)
    assert records.load(half.now)["owner"].goodbye == owner.goodbye(99).signature
    assert half.gossip.digests()["owner"].goodbye == owner.goodbye(99).signature, "others can check it too"
    half.gossip.hearing.learn(owner.record(200), alive=True)
    assert half.view.state("owner", 0.0) is PeerState.ALIVE
    assert not half.gossip.hearing.hear_goodbye(owner.goodbye(99)), "that was before it came back"


def test_a_node_is_not_asked_again_at_once(half: Half, owner: Writer) -> None:
    half.calls.answers = owner.record()
    for _ in range(5):
        half.gossip.hearing.learn(Writer("owner", 9).record())
        half.gossip.name_conflicts.settle()
    assert half.calls.asked == 1
    half.now += ASK_SECONDS
    half.gossip.name_conflicts.settle()
    assert half.calls.asked == 2


def test_who_brought_false_parts_of_a_log_is_in_doubt(half: Half, owner: Writer) -> None:
    half.gossip.hearing.learn(Writer("liar").record())
    owner.share("more")
    doubts = GOSSIP_REFUSED.labels("claim")._value.get()
    forged = Delta("owner", owner.epoch, 1, 7, False, 0, [Entry(7, "forged", bytes(32))])
    half.gossip.hearing.apply([forged], "liar", middle=True)
    assert half.index.by_name("forged")
    (digest,) = [digest for digest in half.gossip.digests().values() if digest.id == "owner"]
    assert digest.unproven
    push(half, TELLER, owner.delta(reset=True))
    assert half.index.files_of("owner") == owner.files()
    assert GOSSIP_REFUSED.labels("claim")._value.get() == doubts, "it may be that they were newer"
    owner.version = 8
    half.gossip.hearing.apply([replace(forged, from_version=2)], "liar", middle=True)
    push(half, TELLER, owner.delta(7))
    assert GOSSIP_REFUSED.labels("claim")._value.get() == doubts + 1
    assert half.index.files_of("owner") == {}


@pytest.mark.parametrize("progress", [True, False], ids=["in a catch-up", "without sending anything"])
def test_a_caller_may_claim_what_it_has_not_sent_yet_only_while_something_comes(
    tmp_path: Path, progress: bool
) -> None:
    store = Store(tmp_path / "s.db")
    index = Index(store, "me")
    view = View("me", 5, 15)
    me = Peer("me", 5, "h", 1, 2, 3)
    gossip = Gossip(index, view, Nobody(), lambda: me, "test", network_id=NetworkId(store))
    for name in ("a", "b"):
        view.learn(Peer(name, 5, "127.0.0.1", 1, 2, 3), 0.0)
    claims = (Digest("other", 5, 9, 0, started=1), Digest("a", 5, 9, 100), Digest("b", 5, 9, 100))

    def rounds() -> None:
        for n in range(PATIENCE * 3):
            gossip.answer(Reconcile("test", OTHER, claims, 1000))
            if progress:
                index.apply(Delta("b", 5, n, n + 1, False, 0, [Entry(n + 1, f"n{n}", bytes(32))]))

    if progress:
        rounds()
    else:
        with pytest.raises(PeerMisbehaved, match="never sends"):
            rounds()
    index.close()
    store.close()


LATE = (2**63 - 2, 2**63 - 1, 2**63, 2**64 - 1)
"""Numbers that fit into a message, and beyond which there is no room."""


def late_ones() -> float:
    return float(GOSSIP_REFUSED.labels("future")._value.get())


def still_speaks(half: Half) -> None:
    """What this node says of itself and others fits into messages and onto the disk."""
    for digest in half.gossip.digests().values():
        digest_to_message(digest)
    to_message(half.gossip.own())
    MemberRecords(half.store).save(list(half.view.known.values()), half.now)


@pytest.mark.parametrize(
    ("field", "late"),
    [
        *((field, late) for field in ("epoch", "heartbeat", "started") for late in LATE),
        *((field, late) for field in ("version", "compacted") for late in LATE[2:]),
    ],
)
@pytest.mark.parametrize("whose", ["me", "owner", "nobody"])
def test_a_digest_of_years_ahead_is_counted_and_changes_nothing(
    half: Half, owner: Writer, whose: str, field: str, late: int
) -> None:
    assert owner.name == "owner"
    half.gossip.own()
    numbers = {"epoch": 5, "heartbeat": 6, "version": 7, field: late}
    digest = Digest(whose, **numbers)  # type: ignore[arg-type]
    before, refused = half.gossip.digests(), late_ones()
    push(half, TELLER, digests=[digest])
    assert late_ones() == refused + 1
    after = half.gossip.digests()
    assert {key: after[key] for key in before} == before
    assert "nobody" not in after
    assert not half.gossip.conduct.refused("teller"), "another clock may have let it pass"
    still_speaks(half)


def test_however_often_somebody_knows_more_of_this_node_there_is_a_next_epoch(half: Half) -> None:
    half.index.publish([LocalFile("mine", f"{1:064x}", 1, "x/y", 1)])
    # As far ahead as is believed.
    for _ in range(5):
        said = (time.time_ns() // 1_000_000 + AHEAD_MS) * 1000
        push(half, TELLER, digests=[Digest("me", said, 6, 7)])
        own = half.index.logs.own
        assert (own.epoch, own.version) == (said + 1, 1)
        still_speaks(half)


@pytest.mark.parametrize("late", LATE)
@pytest.mark.parametrize("field", ["epoch", "started"])
def test_a_record_of_years_ahead_is_not_believed(half: Half, owner: Writer, field: str, late: int) -> None:
    refused = late_ones()
    for writer in (owner, Writer("stranger")):
        record = writer.record(**{"started": 1, field: late})
        assert not half.gossip.hearing.learn(record)
        with pytest.raises(Conflict, match="years apart"):
            push(half, record)
    assert late_ones() == refused + 4
    assert half.view.known["owner"].peer == owner.record()
    assert half.index.files_of("owner") == owner.files()
    still_speaks(half)


@pytest.mark.parametrize("late", LATE)
def test_entries_of_an_epoch_years_ahead_are_left_alone(half: Half, owner: Writer, late: int) -> None:
    owner.epoch, refused = late, late_ones()
    assert not push(half, TELLER, owner.delta())
    assert late_ones() == refused + 1
    assert half.index.logs.states()["owner"].epoch == 5
