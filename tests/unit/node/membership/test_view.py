"""What a node thinks of the others, with a clock of the test's own."""

from __future__ import annotations

import pytest

from minga_node.index import LogState
from minga_node.membership.scuttlebutt import Digest, compare, need
from minga_node.membership.trust import QUARANTINE_SECONDS, Trust
from minga_node.membership.view import View
from minga_node.model import Peer, PeerState

OWN = LogState(10, 4)


def view() -> View:
    made = View("me", suspect=5, dead=15)
    made.beat(1000)
    return made


def peer(id_: str = "a", epoch: int = 10, started: int = 100) -> Peer:
    return Peer(id_, epoch, "127.0.0.1", 1, 2, 3, started=started)


def test_silence_is_suspicion_before_death_and_a_heartbeat_is_life() -> None:
    it = view()
    it.learn(peer(), 0.0)
    it.merge([Digest("a", 10, 200, 0)], OWN, 0.0)
    assert [it.state("a", now) for now in (4.9, 5.0, 14.9, 15.0)] == [
        PeerState.ALIVE, PeerState.SUSPECT, PeerState.SUSPECT, PeerState.DEAD
    ]  # fmt: skip
    it.merge([Digest("a", 10, 200, 0)], OWN, 20.0)
    assert it.state("a", 20.0) is PeerState.DEAD, "an old heartbeat is no sign of life"
    it.merge([Digest("a", 10, 201, 0)], OWN, 20.0)
    assert it.state("a", 20.0) is PeerState.ALIVE


def test_a_goodbye_holds_until_a_later_heartbeat() -> None:
    it = view()
    it.learn(peer(), 0.0)
    it.merge([Digest("a", 10, 200, 0, left=True)], OWN, 0.0)
    assert it.state("a", 0.0) is PeerState.LEFT
    it.merge([Digest("a", 10, 199, 0)], OWN, 1.0)
    assert it.state("a", 1.0) is PeerState.LEFT
    it.merge([Digest("a", 10, 300, 0)], OWN, 2.0)
    assert it.state("a", 2.0) is PeerState.ALIVE


def test_a_forgotten_node_is_not_brought_back_by_an_echo() -> None:
    it = view()
    it.learn(peer(), 0.0)
    it.merge([Digest("a", 10, 200, 0)], OWN, 0.0)
    it.drop("a")
    it.merge([Digest("a", 10, 200, 0)], OWN, 1.0)
    assert not it.make_room("a", "teller", alive=False).granted
    it.merge([Digest("a", 10, 201, 0)], OWN, 1.0)
    assert "a" not in it.known, "a digest alone makes no node"
    assert it.make_room("a", "teller", alive=False).granted


@pytest.mark.parametrize(("digest", "epoch"), [
    (Digest("me", 10, 1, 9), 11), (Digest("me", 12, 1, 0), 13), (Digest("me", 10, 1, 4), None)
])  # fmt: skip
def test_who_hears_more_of_itself_than_it_knows_begins_anew(digest: Digest, epoch: int | None) -> None:
    assert view().merge([digest], OWN, 0.0).own_epoch == epoch


def test_the_later_addresses_count() -> None:
    it = view()
    assert it.learn(peer(started=100), 0.0)
    assert not it.learn(peer(started=90), 0.0)
    assert it.learn(peer(started=110), 0.0)
    assert not it.learn(peer(epoch=9, started=500), 0.0)


def test_need_is_nothing_the_rest_or_everything_anew() -> None:
    ours = Digest("a", 10, 1, 8, compacted=5)
    assert need(ours, Digest("a", 10, 1, 8)) is None
    assert need(ours, Digest("a", 11, 1, 0)) is None
    rest = need(ours, Digest("a", 10, 1, 6))
    assert rest is not None
    assert (rest.from_version, rest.reset) == (6, False)
    anew = need(ours, Digest("a", 10, 1, 4))
    assert anew is not None
    assert (anew.from_version, anew.reset) == (0, True)
    going_on = need(ours, Digest("a", 10, 1, 4, compacted=5))
    assert going_on is not None
    assert (going_on.from_version, going_on.reset) == (4, False)


def test_equal_digests_find_nothing_to_say() -> None:
    digests = {"a": Digest("a", 10, 1, 8, 5, 1), "b": Digest("b", 10, 2, 3)}
    found = compare(digests, dict(digests))
    assert (found.newer, found.needs, found.wanted, found.addresses) == ((), (), (), ())


def test_three_doubts_or_one_certainty_are_a_quarantine_that_ends() -> None:
    trust = Trust()
    assert [trust.strike("a", now) for now in (0.0, 1.0, 2.0)] == [False, False, True]
    assert trust.refused("a", 3.0)
    assert not trust.refused("a", 2.0 + QUARANTINE_SECONDS)
    assert trust.strike("b", 0.0, certain=True)
    assert [trust.strike("c", now) for now in (0.0, 100.0, 200.0)] == [False, False, False]
