from __future__ import annotations

import threading
from pathlib import Path

import pytest

from minga_node.index import Index
from minga_node.index.log import Delta, Entry
from minga_node.index.logs import Logs
from minga_node.model import LocalFile
from minga_node.store import Store


def entries(first: int, last: int) -> list[Entry]:
    return [
        Entry(version, f"file-{version}", bytes(32), 1, "text/plain", 0, True)
        for version in range(first, last + 1)
    ]


def delta(peer: str, from_version: int, to_version: int) -> Delta:
    return Delta(peer, 7, from_version, to_version, False, 0, entries(from_version + 1, to_version))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "state.sqlite3")


def test_the_middle_of_an_unknown_log_is_left_alone_and_its_beginning_taken_later(store: Store) -> None:
    logs = Logs(store, "me")
    assert not logs.apply(delta("other", 5, 8))
    assert logs.state("other") is None
    assert logs.apply(delta("other", 0, 8))
    state = logs.state("other")
    assert state is not None
    assert state.version == 8


def test_the_same_news_from_several_threads_count_once(store: Store) -> None:
    logs = Logs(store, "me")
    start = threading.Barrier(8)
    outcomes: list[object] = []

    def apply(number: int) -> None:
        start.wait(10)
        for peer in range(20):
            try:
                outcomes.append((peer, logs.apply(delta(f"peer-{peer}", 0, 3))))
            except Exception as error:  # noqa: BLE001 - whatever it is, the test shows it
                outcomes.append(error)

    threads = [threading.Thread(target=apply, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(o for o in outcomes if o in {(p, True) for p in range(20)}) == [
        (p, True) for p in range(20)
    ]
    assert [o for o in outcomes if isinstance(o, Exception)] == []


def test_publishing_from_several_threads_uses_every_version_once(store: Store) -> None:
    index = Index(store, "me")
    start = threading.Barrier(4)

    def publish(number: int) -> None:
        start.wait(10)
        for count in range(25):
            index.publish([LocalFile(f"{number}/{count}", "00" * 32, 1, "text/plain", 0)])

    threads = [threading.Thread(target=publish, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert index.logs.own.version == 100
    whole = index.logs.delta("me", 0, 10**9)
    assert whole is not None
    assert [entry.version for entry in whole.entries] == list(range(1, 101))
    index.close()


def test_a_transaction_that_fails_leaves_the_log_where_it_was(store: Store) -> None:
    logs = Logs(store, "me")
    with pytest.raises(RuntimeError), store.write():
        logs.apply(delta("other", 0, 3))
        raise RuntimeError
    assert logs.state("other") is None
    assert logs.apply(delta("other", 0, 3))


def test_two_changes_in_one_transaction_follow_each_other(store: Store) -> None:
    logs = Logs(store, "me")
    with store.write():
        assert logs.apply(delta("other", 0, 3))
        assert logs.apply(delta("other", 3, 5))
    state = logs.state("other")
    assert state is not None
    assert state.version == 5
