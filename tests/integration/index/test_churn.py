"""A million versions of one log: neither it nor a copy of it grows, and both stay what was signed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from unittest.mock import ANY

import pytest

from minga_node.index import Index
from minga_node.index.log import tables
from minga_node.membership.compaction import MOST_VERSIONS_BEHIND, Compaction
from minga_node.membership.scuttlebutt import Digest, need
from minga_node.store import Store
from tests.support.churn import BATCH, READER, churn, rows

pytestmark = [pytest.mark.integration, pytest.mark.slow]

VERSIONS = 1_000_000
ABSENT = 7
"""Rounds that the reader stays away: longer than tombstones are kept for it."""


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[Index, Index]]:
    names = ("writer", "reader")
    stores = [Store(tmp_path / name / "s.db") for name in names]
    indices = [Index(store, name, "test") for store, name in zip(stores, names, strict=True)]
    yield indices[0], indices[1]
    for index, store in zip(indices, stores, strict=True):
        index.close()
        store.close()


def pages(index: Index) -> int:
    """Of the database on disk."""
    return int(index._store.rows("PRAGMA page_count")[0][0])


def digest(index: Index, peer_id: str) -> Digest | None:
    state = index.logs.state(peer_id)
    if state is None:
        return None
    return Digest(peer_id, state.epoch, 1, state.version, state.compacted, unproven=state.unproven)


def follow(writer: Index, reader: Index, compaction: Compaction) -> None:
    """The reader takes all it lacks, as a stream brings it, and says how far it is."""
    ours = digest(writer, "writer")
    assert ours is not None
    while (lacking := need(ours, digest(reader, "writer"))) is not None:
        delta = writer.logs.delta("writer", lacking.from_version, 2**20, reset=lacking.reset)
        assert delta is not None
        assert reader.apply_all([delta], middle=True)
    theirs = digest(reader, "writer")
    assert theirs is not None
    compaction.acknowledge("reader", theirs)


@pytest.mark.timeout(1800)
def test_a_million_versions_leave_a_log_and_its_copy_as_small_as_its_files(pair: tuple[Index, Index]) -> None:
    writer, reader = pair
    compaction = Compaction(writer)
    most: list[tuple[int, int, int]] = []
    for round_ in range(VERSIONS // (3 * BATCH) + 1):
        churn(writer, round_)
        # Now close behind, now so far that it has to begin anew.
        if round_ % 20 > ABSENT:
            follow(writer, reader, compaction)
        compaction.run([READER])
        floor = writer.logs.own.compacted
        copy = reader.logs.state("writer")
        if copy is not None and copy.compacted < floor <= copy.version:
            reader.logs.compact("writer", floor)
        most.append((rows(writer), rows(reader), pages(writer)))
    assert writer.logs.own.version > VERSIONS
    bound = 2 * BATCH + MOST_VERSIONS_BEHIND + 3 * BATCH
    assert max(most)[0] <= bound
    assert max(mine for _, mine, _ in most) <= bound
    half = len(most) // 2
    for which in range(3):
        earlier, later = (max(each[which] for each in part) for part in (most[:half], most[half:]))
        assert later <= earlier * 1.25, "it has not grown in the second half"
    follow(writer, reader, compaction)
    assert reader.files_of("writer") == writer.files_of("writer")
    assert reader.logs.state("writer") == replace(writer.logs.own, compacted=ANY)
    for index in pair:
        known = index.logs._known.now("writer")
        with index._store.read() as db:
            assert known.total == tables.total(db, known.log)
