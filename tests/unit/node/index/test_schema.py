"""The state of an earlier version is taken over as it is."""

from __future__ import annotations

from pathlib import Path

from minga_node.index import Index, LogState, Query
from minga_node.index.log.signing import KEY, log_statement, set_hash, verified
from minga_node.index.log.table_schema import STEPS
from minga_node.membership.member_records import STEPS as MEMBERS
from minga_node.membership.member_records import MemberRecords
from minga_node.store import Store
from tests.support.writer import Writer
from tests.waiting import wait_for


def test_the_tables_of_the_first_version_are_brought_up_to_date(tmp_path: Path) -> None:
    store = Store(tmp_path / "s.db")
    store.migrate("index", STEPS[:1])
    with store.write() as db:
        db.execute("INSERT INTO logs VALUES (1, 'me', 7, 9, 4), (2, 'peer', 8, 3, 0)")
        for n, name in enumerate(["Información.pdf", "b.bin", "c.bin"], 1):
            row = (n, name.lower().replace("ó", "o"), name, bytes([n]) * 32, n, "x/y", n, 1 + (n == 2))
            db.execute("INSERT INTO files VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
            db.execute("INSERT INTO held VALUES (1, ?, ?, ?, 1)", (n, n * 3, n))
        db.execute("INSERT INTO held VALUES (2, 2, 3, 5, 1)")
        db.execute("INSERT INTO tombstones VALUES (1, 'gone', 5)")
    index = Index(store, "me", "test")
    behind = "SELECT (SELECT min(file, ordered) FROM names_until) < (SELECT max(file) FROM files)"
    wait_for(lambda: not store.rows(behind)[0][0], "every row is in every index")
    assert [row.name for row in index.search(Query("informacion")).rows] == ["Información.pdf"]
    assert index.search(Query(sort="-holders")).rows[0].name == "b.bin"
    assert index.files_of("peer") == {"b.bin": "02" * 32}
    assert index.logs.own.version == 9
    delta = index.logs.delta("me", 0, 2**20)
    assert delta is not None
    said = log_statement("test", "me", 7, 9, set_hash(delta.entries))
    assert verified(index.logs.keys.own.key, delta.signature[KEY:], said), "the own log is signed"
    other = index.logs.state("peer")
    assert other == LogState(8, 3, 0), "it counts as it is until its writer tells a key"
    assert index.logs.delta("peer", 0, 2**20) is not None
    writer = Writer("peer", 8)
    writer.version = 2
    writer.share("b.bin", content=b"\x02" * 32, size=2, media_type="x/y", modified_ms=5)
    index.logs.learn_key("peer", writer.signer.key)
    assert index.logs.delta("peer", 0, 2**20) is None, "it is not given on unsigned"
    assert index.apply(writer.delta(3))
    assert index.logs.state("peer") == LogState(8, 3, 0, writer.signature())
    assert [(entry.version, entry.name) for entry in delta.entries] == [
        (3, "Información.pdf"), (5, "gone"), (6, "b.bin"), (9, "c.bin")
    ]  # fmt: skip
    index.close()
    store.close()


def test_members_of_an_earlier_version_are_kept(tmp_path: Path) -> None:
    store = Store(tmp_path / "s.db")
    store.migrate("membership", MEMBERS[:1])
    with store.write() as db:
        db.execute("INSERT INTO members VALUES ('a', 5, 9, 0, 1, 'host', 1, 2, 3, 1, '0.1.0', 4)")
    records = MemberRecords(store)
    known = records.load(0.0)
    peer = known["a"].peer
    assert peer is not None
    assert (peer.host, peer.key, peer.signature) == ("host", b"", b"")
    known["a"].peer = Writer("a").record()
    records.save(known.values(), 0.0)
    assert records.load(0.0)["a"].peer == known["a"].peer
    store.close()
