"""Logs: what is taken, what is refused, and what remains after compaction."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from unittest.mock import ANY

import pytest

from minga_node.errors import PeerMisbehaved
from minga_node.index import Delta, Entry, Index
from minga_node.index.log.log_state import MOST_ENTRIES
from minga_node.model import LocalFile
from minga_node.store import Store

ID = bytes(32)


def delta(*entries: Entry, epoch: int = 5, start: int = 0, to: int | None = None, **more: object) -> Delta:
    end = to if to is not None else (entries[-1].version if entries else start)
    fields = {"reset": False, "compacted": 0, **more}
    return Delta("peer", epoch, start, end, entries=entries, **fields)  # type: ignore[arg-type]


def test_a_tombstone_that_its_sender_has_dropped_is_not_jumped_over(index: Index) -> None:
    index.apply(delta(Entry(1, "gone", ID)))
    # Of 2 (another file) and 3 (the removal) a node that came later has no tombstone.
    rest = delta(Entry(2, "new", ID), start=1, to=3, compacted=3)
    assert not index.apply(rest)
    assert not index.apply(delta(Entry(2, "new", ID), to=3, compacted=3))
    assert index.files_of("peer") == {"gone": ID.hex()}
    assert index.apply(delta(Entry(2, "new", ID), to=3, compacted=3, reset=True))
    assert index.files_of("peer") == {"new": ID.hex()}


def test_who_knows_nothing_of_a_log_takes_it_without_its_old_tombstones(index: Index) -> None:
    assert index.apply(delta(Entry(2, "new", ID), to=3, compacted=3))
    assert index.apply(delta(Entry(4, "more", ID), start=3, compacted=3))
    assert set(index.files_of("peer")) == {"new", "more"}


BAD = {
    "its own log": Delta("me", 5, 0, 1, False, 0, [Entry(1, "a", ID)]),
    "versions out of order": delta(Entry(2, "a", ID), Entry(1, "b", ID), to=2),
    "a version beyond its end": delta(Entry(9, "a", ID), to=2),
    "a huge name": delta(Entry(1, "x" * 5000, ID)),
    "a name that climbs": delta(Entry(1, "../etc/passwd", ID)),
    "a hidden name": delta(Entry(1, ".minga/x", ID)),
    "control characters": delta(Entry(1, "a\nb", ID)),
    "a short id": delta(Entry(1, "a", b"x")),
    "a negative size": delta(Entry(1, "a", ID, -1)),
    "a long media type": delta(Entry(1, "a", ID, 1, "x" * 300)),
    "no epoch": delta(Entry(1, "a", ID), epoch=0),
    "too many at once": delta(*[Entry(n, f"n{n}", ID) for n in range(1, MOST_ENTRIES + 2)]),
    "nobody's log": Delta("", 5, 0, 1, False, 0, [Entry(1, "a", ID)]),
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_what_no_honest_node_sends_is_refused_and_changes_nothing(index: Index, bad: Delta) -> None:
    index.publish([LocalFile("mine", "ab" * 32, 1, "x/y", 1)])
    with pytest.raises(PeerMisbehaved):
        index.apply(bad)
    assert index.logs.state("peer") is None
    assert list(index.local()) == ["mine"]
    assert index.count() == 1


def test_a_delta_that_does_not_follow_is_left_alone(index: Index) -> None:
    index.apply(delta(Entry(1, "a", ID)))
    assert not index.apply(delta(Entry(7, "b", ID), start=6))
    assert not index.apply(delta(Entry(1, "c", ID)))
    assert index.files_of("peer") == {"a": ID.hex()}


def test_a_larger_epoch_replaces_and_a_smaller_one_is_old_news(index: Index) -> None:
    index.apply(delta(Entry(1, "old", ID)))
    assert index.apply(delta(Entry(1, "new", ID), epoch=6))
    assert not index.apply(delta(Entry(2, "older", ID), epoch=4))
    assert list(index.files_of("peer")) == ["new"]


def test_a_reset_is_only_taken_by_a_reader_below_the_floor(index: Index) -> None:
    index.apply(delta(Entry(1, "a", ID), Entry(2, "gone", ID), to=3))
    assert not index.apply(delta(Entry(9, "b", ID), reset=True, compacted=2, to=9))
    assert index.apply(delta(Entry(1, "a", ID), Entry(9, "b", ID), reset=True, compacted=8, to=9))
    assert sorted(index.files_of("peer")) == ["a", "b"]


def test_publishing_the_same_again_is_no_news(index: Index) -> None:
    file = LocalFile("a", "ab" * 32, 1, "x/y", 1)
    assert index.publish([file, file]) == 1
    assert index.publish([file]) == 0
    assert index.remove(["a", "never"]) == 1
    assert index.logs.own.version == 2


def test_a_log_that_churns_does_not_grow(index: Index) -> None:
    for n in range(300):
        index.publish([LocalFile(f"temporary-{n}", "ab" * 32, 1, "x/y", 1)])
        index.remove([f"temporary-{n}"])
        index.publish([LocalFile("same", f"{n:064x}", 1, "x/y", 1)])
    assert index.logs.compact("me", index.logs.own.version) == 300
    rows = [
        index._store.rows(f"SELECT count(*) FROM {table}")[0][0] for table in ("files", "held", "tombstones")
    ]
    assert rows == [1, 1, 0]


@pytest.mark.parametrize("seed", range(5))
def test_a_reader_in_small_steps_ends_with_the_writers_files(index: Index, tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    store = Store(tmp_path / "reader" / "s.db")
    reader = Index(store, "reader")
    lies: list[str] = []
    reader.logs.on_false.append(lies.append)
    reader.logs.learn_key("me", index.logs.keys.own.key)
    for _ in range(150):
        name = f"name-{dice.randrange(15)}"
        if dice.random() < 0.4:
            index.remove([name])
        else:
            index.publish([LocalFile(name, f"{dice.randrange(5):064x}", 3, "x/y", 1)])
        if dice.random() < 0.1:
            index.logs.compact("me", dice.randrange(index.logs.own.version + 1))
        if dice.random() < 0.3:
            step(index, reader)
    while step(index, reader):
        pass
    assert reader.files_of("me") == index.files_of("me")
    assert reader.logs.state("me") == replace(index.logs.own, compacted=ANY), "with the writer's signature"
    assert lies == []
    reader.close()
    store.close()


def step(writer: Index, reader: Index) -> bool:
    """One bounded message, as the rounds of gossip make it."""
    from minga_node.membership.scuttlebutt import Digest, need

    own, known = writer.logs.own, reader.logs.state("me")
    ours = Digest("me", own.epoch, 1, own.version, own.compacted)
    theirs = None
    if known is not None:
        theirs = Digest("me", known.epoch, 1, known.version, known.compacted, unproven=known.unproven)
    lacking = need(ours, theirs)
    if lacking is None:
        return False
    found = writer.logs.delta("me", lacking.from_version, 200, reset=lacking.reset)
    assert found is not None
    assert reader.apply_all([found], middle=True)
    return True
