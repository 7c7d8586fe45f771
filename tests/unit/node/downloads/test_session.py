"""The decisions of a running download, with connections that only record and a clock that is handed in."""

from __future__ import annotations

import threading
from random import Random
from typing import cast

import pytest

from minga_node.downloads.model import AvailabilityFollowing
from minga_node.downloads.neighbours import AFTER_CORRUPT, Neighbours
from minga_node.downloads.session import DownloadSession, Tally
from minga_node.errors import PeerUnreachable, VerificationFailed
from minga_node.fetching import HolderConnection
from minga_node.manifest import Manifest, piece_size
from minga_node.model import Peer
from minga_node.swarm import Outcome, PieceFetch, Swarm

PIECES = 4
SIZE = PIECES * piece_size(1)


class Connection:
    """Has a load, and records nothing else: the session only chooses it."""

    def __init__(self, load: int = 0) -> None:
        self.load = load


class Following:
    def __init__(self) -> None:
        self.closed = 0

    def close(self) -> None:
        self.closed += 1


class Fixture:
    def __init__(self, *holders: str) -> None:
        self.manifest = Manifest(SIZE, bytes(32 * PIECES))
        assert self.manifest.pieces == PIECES
        self.swarm = Swarm(PIECES, seed=1)
        self.neighbours = Neighbours("self", Random(1))
        self.tally = Tally(last_piece=0.0)
        self.lock = threading.Lock()
        self.session = DownloadSession(
            self.manifest,
            self.swarm,
            self.neighbours,
            self.tally,
            lock=self.lock,
            changed=threading.Condition(self.lock),
        )
        self.peers = [(Peer(name, 1, "127.0.0.1", 1, 2, 3), True) for name in holders]
        self.connections: dict[str, HolderConnection] = {}
        self.connect(0.0)

    def connect(self, now: float) -> list[str]:
        """Connects to whom the session chooses; returns their names."""
        self.session.holders_found(self.peers, now)
        chosen, _ = self.session.choose(now, [])
        for neighbour in chosen:
            connection = cast("HolderConnection", Connection())
            self.connections[neighbour.peer.id] = connection
            self.session.connected(neighbour, [connection], now)
        return [neighbour.peer.id for neighbour in chosen]

    def fetches(self, now: float) -> list[PieceFetch]:
        return [fetch for _, fetch in self.session.requests(now)]

    def close(
        self,
        holder: str,
        unanswered: list[PieceFetch],
        error: PeerUnreachable | VerificationFailed,
        now: float,
    ) -> AvailabilityFollowing | None:
        effects = self.session.closed(self.connections[holder], holder, unanswered, error, now)
        return effects.unfollow


def pieces_of(fetch: PieceFetch) -> range:
    return fetch.candidates[0]


def test_a_request_goes_out_once_on_the_least_loaded_connection() -> None:
    fixture = Fixture("holder")
    busy, idle = (cast("HolderConnection", Connection(load)) for load in (3, 1))
    neighbour = fixture.neighbours.known["holder"]
    fixture.session.connected(neighbour, [busy, idle], 0.0)
    requests = fixture.session.requests(0.0)
    assert requests
    assert {connection for connection, _ in requests} == {idle}
    while fixture.session.requests(0.0):
        pass
    assert fixture.session.requests(0.0) == []


def test_the_second_copy_of_a_piece_has_the_effects_of_a_duplicate() -> None:
    fixture = Fixture("holder")
    fetch = fixture.fetches(0.0)[0]
    piece = pieces_of(fetch)[0]
    first = fixture.session.verified(fetch, piece, 1.0, last=False)
    second = fixture.session.verified(fetch, piece, 2.0, last=True)
    assert (first.outcome, second.outcome) == (Outcome.NEW, Outcome.DUPLICATE)
    assert fixture.tally.duplicate_bytes == second.size == piece_size(1)
    assert second.asked_in_vain == ()


def test_all_pieces_make_it_complete_and_nothing_more_is_asked() -> None:
    fixture = Fixture("holder")
    here = []
    now = 0.0
    while not fixture.swarm.complete:
        now += 1.0
        assert now < 20
        for fetch in fixture.fetches(now):
            for piece in pieces_of(fetch):
                last = piece == pieces_of(fetch)[-1]
                here.append(fixture.session.verified(fetch, piece, now, last=last).complete)
    assert here == [False] * (PIECES - 1) + [True]
    assert fixture.fetches(now) == []
    assert fixture.session.choose(now, []) == ([], 0)


def test_what_a_lost_holder_left_unanswered_is_asked_of_another() -> None:
    fixture = Fixture("one", "two")
    fetches = fixture.fetches(0.0)
    lost = [fetch for fetch in fetches if fetch.holder == "one"]
    assert lost
    fixture.close("one", lost, PeerUnreachable("gone"), 1.0)
    for fetch in fetches:
        if fetch.holder == "two":
            for piece in pieces_of(fetch):
                fixture.session.verified(fetch, piece, 1.0, last=piece == pieces_of(fetch)[-1])
    again = fixture.fetches(1.0)
    assert {fetch.holder for fetch in again} == {"two"}
    assert {piece for fetch in lost for piece in pieces_of(fetch)} & {
        piece for fetch in again for piece in pieces_of(fetch)
    }
    assert fixture.tally.stalls == 1


def test_what_one_of_two_connections_left_unanswered_is_asked_on_the_other() -> None:
    fixture = Fixture("holder")
    first, second = (cast("HolderConnection", Connection(load)) for load in (0, 1))
    fixture.session.connected(fixture.neighbours.known["holder"], [first, second], 0.0)
    lost = fixture.fetches(0.0)
    assert fixture.fetches(0.0) == []  # as many as may wait at one holder
    fixture.session.closed(first, "holder", lost, None, 0.0)
    again = fixture.session.requests(0.0)
    assert len(again) == len(lost) > 0
    assert {connection for connection, _ in again} == {second}


def test_a_holder_of_wrong_pieces_is_tried_once_more_and_then_banned() -> None:
    fixture = Fixture("holder")
    fixture.close("holder", fixture.fetches(0.0), VerificationFailed("wrong"), 0.0)
    assert fixture.connect(AFTER_CORRUPT - 0.1) == []
    assert fixture.connect(AFTER_CORRUPT) == ["holder"]
    fixture.close("holder", fixture.fetches(AFTER_CORRUPT), VerificationFailed("wrong"), AFTER_CORRUPT)
    assert fixture.connect(1000.0) == []
    assert not fixture.neighbours.hopeful
    assert (fixture.tally.corrupt_pieces, fixture.tally.stalls) == (2, 0)


def test_a_reader_gets_its_piece_first() -> None:
    fixture = Fixture("holder")
    fixture.session.prefer(1 << 2)
    assert 2 in pieces_of(fixture.fetches(0.0)[0])


def test_a_holder_without_the_content_leaves_no_hope() -> None:
    fixture = Fixture("holder")
    assert fixture.neighbours.hopeful
    fixture.session.lacking(fixture.fetches(0.0)[0], gone=True)
    assert fixture.fetches(1.0) == []
    assert not fixture.neighbours.hopeful


def test_nothing_is_asked_after_the_end() -> None:
    fixture = Fixture("holder")
    fixture.neighbours.over = True
    assert fixture.session.requests(0.0) == []


def test_a_stream_is_closed_once_by_the_caller_when_its_connection_breaks() -> None:
    fixture = Fixture("holder")
    following = Following()
    stream = cast("AvailabilityFollowing", following)
    neighbour = fixture.neighbours.known["holder"]
    assert fixture.session.followed(neighbour, stream)
    assert fixture.close("holder", [], PeerUnreachable("gone"), 0.0) is stream
    assert following.closed == 0
    assert fixture.close("holder", [], PeerUnreachable("gone"), 0.0) is None
    assert not fixture.session.followed(neighbour, stream)


@pytest.mark.parametrize("names", [("stranger",), ("stranger", "self")])
def test_an_introduction_counts_once(names: tuple[str, ...]) -> None:
    fixture = Fixture()
    assert fixture.session.met(names)
    assert not fixture.session.met(names)
    assert fixture.session.unknown() == {"stranger"}
