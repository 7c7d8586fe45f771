from __future__ import annotations

import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from minga_node.errors import StorageFailed, StorageFull
from minga_node.sqlite import MOST_CONNECTIONS, PATIENCE_SECONDS
from minga_node.store import Store

STEPS = ["CREATE TABLE t (n INTEGER PRIMARY KEY);"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "minga.sqlite3"


def numbers(store: Store) -> list[int]:
    return [row[0] for row in store.rows("SELECT n FROM t ORDER BY n")]


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
    store.migrate("t", STEPS)
    with store.write() as db:
        db.execute("INSERT INTO t VALUES (1)")
        assert numbers(store) == []


def test_a_look_within_a_look_sees_the_same(path: Path) -> None:
    store = Store(path)
    with store.read() as outer, store.read() as inner:
        assert inner is outer


def test_what_is_read_with_cannot_write(path: Path) -> None:
    store = Store(path)
    store.migrate("t", STEPS)
    with pytest.raises(StorageFailed), store.read() as db:
        db.execute("INSERT INTO t VALUES (1)")
    assert numbers(store) == []


def descriptors(path: Path) -> int:
    """That this process has open of a database."""
    found = 0
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # the one that lists them
            found += str(descriptor.readlink()).startswith(str(path))
    return found


def test_threads_that_read_leave_no_descriptors_behind(path: Path) -> None:
    """As each download is a thread, a node with 1,024 descriptors was dead after some 500."""
    store = Store(path)
    store.migrate("t", STEPS)
    numbers(store)
    before = descriptors(path)
    for _ in range(500):
        thread = threading.Thread(target=numbers, args=(store,))
        thread.start()
        thread.join()
    assert descriptors(path) == before


def test_many_who_read_at_once_share_few_connections(path: Path) -> None:
    store = Store(path)
    store.migrate("t", STEPS)
    before = descriptors(path)
    together = threading.Barrier(40)
    done: list[int] = []

    def look() -> None:
        together.wait(30)
        for _ in range(20):
            numbers(store)
        done.append(1)

    threads = [threading.Thread(target=look) for _ in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(done) == 40
    assert descriptors(path) - before <= 2 * MOST_CONNECTIONS
    store.close()
    assert descriptors(path) == 0


def test_whoever_holds_all_connections_locks_nobody_up(path: Path) -> None:
    """Who reads may wait for the writer, and the writer may want to read."""
    store = Store(path)
    store.migrate("t", STEPS)
    reading = threading.Barrier(MOST_CONNECTIONS + 1)

    def read_then_write(n: int) -> None:
        with store.read():
            reading.wait(30)
            with store.write() as db:
                db.execute("INSERT INTO t VALUES (?)", (n,))

    threads = [threading.Thread(target=read_then_write, args=(n,)) for n in range(MOST_CONNECTIONS)]
    with store.write():
        for thread in threads:
            thread.start()
        reading.wait(30)
        began = time.monotonic()
        assert numbers(store) == []
        assert time.monotonic() - began < PATIENCE_SECONDS + 5
    for thread in threads:
        thread.join(30)
    assert numbers(store) == list(range(MOST_CONNECTIONS))
    before = descriptors(path)
    for _ in range(20):
        numbers(store)
    assert descriptors(path) == before


def test_errors_of_reading_are_ours_too(path: Path) -> None:
    store = Store(path)
    with pytest.raises(StorageFailed):
        store.rows("SELECT * FROM missing")
    with pytest.raises(StorageFailed), store.read() as db:
        db.execute("SELECT * FROM missing")
    store.close()
    with pytest.raises(StorageFailed):
        store.rows("SELECT 1")
    with pytest.raises(StorageFailed), store.write():
        pass


def test_no_room_is_told_apart(path: Path) -> None:
    store = Store(path)
    store.migrate("t", ["CREATE TABLE t (n BLOB);"])
    (pages,) = store.rows("PRAGMA page_count")[0]
    store.prepare(f"PRAGMA max_page_count = {pages + 5}")
    with pytest.raises(StorageFull), store.write() as db:
        db.execute("INSERT INTO t VALUES (zeroblob(1000000))")
    with store.write() as db:
        db.execute("INSERT INTO t VALUES (zeroblob(10))")
    assert store.rows("SELECT length(n) FROM t") == [(10,)]


def test_the_disk_at_fault_is_told_of_and_a_wrong_statement_is_not(path: Path) -> None:
    store = Store(path)
    store.migrate("t", ["CREATE TABLE t (n INTEGER PRIMARY KEY);"])
    told: list[bool] = []
    store.on_problem = lambda: told.append(True)
    with pytest.raises(StorageFailed), store.write() as db:
        db.execute("INSERT INTO t VALUES (1)")
        db.execute("INSERT INTO t VALUES (1)")
    assert not told
    store.prepare("PRAGMA query_only = ON")
    with pytest.raises(StorageFailed):
        store.probe()
    assert told
    store.prepare("PRAGMA query_only = OFF")
    store.probe()


def test_effects_follow_the_commit_and_a_rollback_has_none(path: Path) -> None:
    store = Store(path)
    store.migrate("t", STEPS)
    seen: list[list[int]] = []
    free: list[bool] = []

    def effect() -> None:
        seen.append(numbers(store))

        def other() -> None:
            with store.write():
                free.append(True)

        thread = threading.Thread(target=other)
        thread.start()
        thread.join(10)

    with store.write() as db:
        db.execute("INSERT INTO t VALUES (1)")
        with store.write():
            store.after_commit(effect)
        assert not seen
    assert seen == [[1]], "told once it is committed"
    assert free == [True], "and outside of the lock"
    with pytest.raises(RuntimeError), store.write():
        store.after_commit(effect)
        raise RuntimeError
    assert len(seen) == 1
    store.after_commit(effect)
    assert len(seen) == 2, "outside of a transaction at once"


def test_one_effect_that_fails_does_not_keep_others_from_theirs(path: Path) -> None:
    store = Store(path)
    store.migrate("t", STEPS)
    seen: list[str] = []

    def fails(*_: object) -> None:
        raise RuntimeError

    with store.write() as db:
        db.execute("INSERT INTO t VALUES (1)")
        store.at_end(fails)
        store.at_end(lambda committed: seen.append(f"ended {committed}"))
        store.after_commit(fails)
        store.after_commit(lambda: seen.append("after"))
    assert seen == ["ended True", "after"]
    assert numbers(store) == [1]


def test_a_transaction_that_sqlite_gave_up_is_not_gone_on_with(path: Path) -> None:
    store = Store(path)
    store.migrate("t", STEPS)
    with pytest.raises(StorageFailed), store.write() as outer:
        outer.execute("INSERT INTO t VALUES (1)")
        outer.execute("ROLLBACK")  # as it does by itself when the disk is full
        with store.write() as inner:
            inner.execute("INSERT INTO t VALUES (2)")
    assert numbers(store) == []
