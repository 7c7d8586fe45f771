from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest

from minga_node.errors import StorageFailed
from minga_node.store import Store

STEPS = ["CREATE TABLE t (n INTEGER PRIMARY KEY);"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "minga.sqlite3"


def numbers(store: Store) -> list[int]:
    return [row[0] for row in store.read().execute("SELECT n FROM t ORDER BY n")]


def test_a_failed_transaction_leaves_nothing(path: Path) -> None:
    store = Store(path)
    store.migrate("t", STEPS)
    with pytest.raises(RuntimeError), store.write() as db:
        db.execute("INSERT INTO t VALUES (1)")
        raise RuntimeError
    assert numbers(store) == []


def test_nested_transactions_commit_together(path: Path) -> None:
    store = Store(path)
    store.migrate("t", STEPS)
    with pytest.raises(RuntimeError), store.write() as outer:
        outer.execute("INSERT INTO t VALUES (1)")
        with store.write() as inner:
            inner.execute("INSERT INTO t VALUES (2)")
        raise RuntimeError
    assert numbers(store) == []


def test_threads_write_one_after_the_other(path: Path) -> None:
    store = Store(path)
    store.migrate("t", STEPS)

    def insert(first: int) -> None:
        for n in range(first, first + 50):
            with store.write() as db:
                db.execute("INSERT INTO t VALUES (?)", (n,))

    threads = [threading.Thread(target=insert, args=(1000 * k,)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(numbers(store)) == 400


def test_migrations_run_once_and_go_on_where_they_stopped(path: Path) -> None:
    store = Store(path)
    store.migrate("t", STEPS)
    store.close()
    store = Store(path)
    store.migrate("t", [*STEPS, "INSERT INTO t VALUES (7);"])
    store.migrate("t", [*STEPS, "INSERT INTO t VALUES (7);"])
    assert numbers(store) == [7]


def test_the_epoch_survives_a_restart(path: Path) -> None:
    first = Store(path)
    epoch = first.epoch
    first.close()
    assert Store(path).epoch == epoch


def test_a_damaged_database_is_moved_aside_and_a_later_epoch_begun(path: Path) -> None:
    first = Store(path)
    first.close()
    for leftover in path.parent.glob("*-wal"):
        leftover.unlink()
    path.write_bytes(b"this is no database" * 1000)
    second = Store(path)
    assert second.epoch > first.epoch
    assert second.moved_aside is not None
    assert second.moved_aside.read_bytes().startswith(b"this is no database")


def test_sqlites_errors_come_out_as_ours(path: Path) -> None:
    store = Store(path)
    with pytest.raises(StorageFailed), store.write() as db:
        db.execute("SELECT * FROM missing")


def test_a_reader_sees_only_what_is_committed(path: Path) -> None:
    store = Store(path)
    store.migrate("t", STEPS)
    with store.write() as db:
        db.execute("INSERT INTO t VALUES (1)")
        seen: list[int] = []
        thread = threading.Thread(target=lambda: seen.extend(numbers(store)))
        thread.start()
        thread.join()
        assert seen == []
    assert numbers(store) == [1]


def test_reading_does_not_need_the_writer(path: Path) -> None:
    store = Store(path)
    assert isinstance(store.read(), sqlite3.Connection)
    assert store.read() is store.read()
