"""A log that churns stays small, whoever has or has not seen it."""

from __future__ import annotations

from pathlib import Path

from minga_node.index import Delta, Index
from minga_node.membership.compaction import MOST_VERSIONS_BEHIND, Compaction
from minga_node.membership.scuttlebutt import Digest, need
from minga_node.model import LocalFile, Peer
from minga_node.store import Store
from tests.support.churn import BATCH, READER, churn, rows


def test_a_log_that_churns_does_not_grow_whoever_never_reads_it(index: Index) -> None:
    compaction = Compaction(index)
    most = []
    for round_ in range(30):
        churn(index, round_)
        compaction.run([READER])
        most.append(rows(index, "moved"))
    assert index.logs.own.version == 30 * 3 * BATCH
    # The files, their places in the log, and what is kept for a reader.
    assert max(most) <= 2 * BATCH + MOST_VERSIONS_BEHIND + BATCH
    assert max(most[15:]) <= max(most[:15]), "it has not grown in the second half"


def test_what_all_live_nodes_have_seen_goes_at_once(index: Index) -> None:
    compaction = Compaction(index)
    churn(index, 0)
    own = index.logs.own
    compaction.acknowledge("reader", Digest("me", own.epoch, 1, own.version))
    compaction.run([READER])
    assert rows(index, "moved") == 2 * BATCH
    compaction.run([READER, Peer("other", 5, "127.0.0.1", 1, 2, 3)])
    index.remove(["same-1"])
    compaction.run([READER, Peer("other", 5, "127.0.0.1", 1, 2, 3)])
    assert rows(index, "moved") == 2 * BATCH - 1, "one has not seen that it is gone"


def test_a_reader_that_was_left_behind_gets_the_log_anew(index: Index, tmp_path: Path) -> None:
    store = Store(tmp_path / "reader" / "s.db")
    reader = Index(store, "reader")
    reader.apply(_delta(index, Digest("me", 0, 1, 0)))
    for round_ in range(8):
        churn(index, round_)
        Compaction(index).run([READER])
    known = reader.logs.state("me")
    theirs = Digest("me", known.epoch, 1, known.version, known.compacted) if known else None
    while theirs is None or theirs.version < index.logs.own.version:
        assert reader.apply(_delta(index, theirs))
        state = reader.logs.state("me")
        assert state is not None
        theirs = Digest("me", state.epoch, 1, state.version, state.compacted)
    assert reader.files_of("me") == index.files_of("me")
    reader.close()
    store.close()


def _delta(index: Index, theirs: Digest | None) -> Delta:
    if not index.logs.own.version:
        index.publish([LocalFile("first", "ab" * 32, 1, "x/y", 1)])
        index.remove(["first"])
    own = index.logs.own
    lacking = need(Digest("me", own.epoch, 1, own.version, own.compacted), theirs)
    assert lacking is not None
    found = index.logs.delta("me", lacking.from_version, 2**20, reset=lacking.reset)
    assert found is not None
    return found
