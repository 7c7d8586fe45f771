"""Who counts as a holder, how much room there is, and which own contents are scarce."""

from __future__ import annotations

from pathlib import Path

from minga_node.errors import PeerUnreachable
from minga_node.index import Delta, Entry, Index
from minga_node.model import LocalFile, Peer, PeerState, PeerStatus
from minga_node.requests import Presence
from minga_node.requests.room import REMEMBER_SECONDS, PeerRoom
from minga_node.store import Store


def peer(name: str) -> Peer:
    return Peer(name, 1, "198.18.0.1", 1, 2, 3)


def test_who_was_not_heard_by_this_process_counts_as_away_since_it_began() -> None:
    now = [1000.0]
    statuses = [
        PeerStatus(peer("alive"), PeerState.ALIVE, 0.4),
        PeerStatus(peer("suspect"), PeerState.SUSPECT, 6),
        PeerStatus(peer("gone"), PeerState.DEAD, 5000),
        PeerStatus(peer("left"), PeerState.LEFT, 20),
    ]
    presence = Presence("home", lambda: statuses, 300, lambda: now[0])
    assert all(presence.counts()(name) for name in ("home", "alive", "suspect", "gone", "left", "unknown"))
    now[0] += 299
    assert presence.counts()("gone")
    now[0] += 2
    counts = presence.counts()
    assert [name for name in ("home", "alive", "suspect", "gone", "left", "unknown") if counts(name)] == [
        "home", "alive", "suspect", "left",
    ]  # fmt: skip
    away = presence.away()
    assert (away("home"), away("alive"), away("left"), away("gone")) == (0, 0, 20, 301)


def test_room_is_asked_rarely_and_of_a_few_and_who_does_not_answer_is_left_out() -> None:
    now, asked = [0.0], []

    def ask(one: Peer) -> int:
        asked.append(one.id)
        if one.id == "mute":
            raise PeerUnreachable("mute")
        return 100

    room = PeerRoom(ask, lambda: now[0])
    peers = [peer(name) for name in ("mute", "a", "b", "c")]
    assert room.of(peers, 2) == {"a": 100, "b": 100}
    assert room.of(peers[1:], 2) == {"a": 100, "b": 100}
    assert asked == ["mute", "a", "b"]
    now[0] += REMEMBER_SECONDS
    room.of(peers[1:], 1)
    assert asked == ["mute", "a", "b", "a"]


def test_own_complete_contents_are_scarce_by_the_copies_that_count(tmp_path: Path) -> None:
    index = Index(Store(tmp_path / "state.sqlite3"), "home")
    index.publish([
        LocalFile("alone", "a" * 64, 1, "text/plain", 11),
        LocalFile("alone-again", "a" * 64, 1, "text/plain", 12),
        LocalFile("shared", "b" * 64, 1, "text/plain", 13),
        LocalFile("away", "c" * 64, 1, "text/plain", 14),
        LocalFile("part", "d" * 64, 1, "text/plain", 15, complete=False),
    ])
    others = [
        Entry(1, "other-name", bytes.fromhex("b" * 64), 1, "text/plain", 5),
        Entry(2, "theirs", bytes.fromhex("e" * 64), 1, "text/plain", 5),
        Entry(3, "x", bytes.fromhex("a" * 64), 1, "text/plain", 5, False),
    ]
    index.apply(Delta("near", 1, 0, 3, False, 0, others))
    index.apply(Delta("far", 1, 0, 1, False, 0, [Entry(1, "c", bytes.fromhex("c" * 64), 1, "text/plain", 3)]))

    def found(target: int, *counts: str, after: str = "", limit: int = 9) -> dict[str, list[tuple[str, int]]]:
        scarce = index.scarce({"home", *counts}.__contains__, target, after, limit)
        return {key[0]: [(at.peer_id, at.modified_ms) for at in held] for key, held in scarce.items()}

    alone, away = [("home", 11)], [("home", 14), ("far", 3)]
    assert found(2, "near") == {"a": alone, "c": away}
    assert found(2, "near", "far") == {"a": alone}
    assert list(found(3, "near", "far")) == ["a", "b", "c"]
    assert list(found(3, "near", limit=2)) == ["a", "b"]
    assert list(found(3, "near", after="b" * 64)) == ["c"]
    assert found(1) == {}
    index.close()
