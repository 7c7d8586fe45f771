"""Figures that are looked up when they are asked for."""

from __future__ import annotations

from pathlib import Path

from minga_node.index import Delta, Entry, Index
from minga_node.model import LocalFile
from minga_node.observed import by_copies
from minga_node.rarely import Rarely
from minga_node.store import Store


def test_contents_are_classed_by_copies_with_a_last_class_for_many() -> None:
    assert by_copies({0: 4, 2: 1, 3: 5, 17: 2}) == {"0": 4, "1": 0, "2": 1, "3+": 7}


def test_an_answer_is_kept_longer_the_more_it_costs() -> None:
    now, asked = [0.0], []

    def find() -> int:
        asked.append(now[0])
        now[0] += 0.5
        return len(asked)

    figure = Rarely(find, lambda: now[0])
    assert figure() == 1
    now[0] = 24.9
    assert figure() == 1
    now[0] = 25.1
    assert figure() == 2


def test_copies_count_complete_holders_that_are_online_once_a_content(tmp_path: Path) -> None:
    def entry(version: int, name: str, digit: str, complete: bool = True) -> Entry:
        return Entry(version, name, bytes.fromhex(digit * 64), 1, "text/plain", 1, complete)

    index = Index(Store(tmp_path / "state.sqlite3"), "home")
    index.publish([
        LocalFile("a", "a" * 64, 1, "text/plain", 1),
        LocalFile("again", "a" * 64, 1, "text/plain", 1),
    ])
    online = [entry(1, "a", "a"), entry(2, "b", "b"), entry(3, "part", "c", complete=False)]
    away = [entry(1, "b", "b"), entry(2, "c", "c")]
    index.apply(Delta("near", 1, 0, 3, False, 0, tuple(online)))
    index.apply(Delta("far", 1, 0, 2, False, 0, tuple(away)))
    index.online = lambda peer_id: peer_id == "near"
    # a: home and near; b: near; c: whole only at far, which is away.
    assert index.copies() == {2: 1, 1: 1, 0: 1}
    index.close()
