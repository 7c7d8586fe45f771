"""Which ids are of one network."""

from __future__ import annotations

from pathlib import Path

import pytest

from minga_node.membership.network_id import YOUNG_MS, NetworkId, NetworkVerdict, is_id, judge, made_at, make
from minga_node.store import Store

NOW = 1_800_000_000_000
OLD, OLDER = make(NOW - YOUNG_MS), make(NOW - YOUNG_MS - 1)
YOUNG, YOUNGER = make(NOW - 2), make(NOW - 1)


@pytest.mark.parametrize(("mine", "theirs", "met", "verdict"), [
    ("", "", False, NetworkVerdict.SAME),
    (OLD, "", True, NetworkVerdict.SAME),
    (OLD, OLD, True, NetworkVerdict.SAME),
    ("", OLD, False, NetworkVerdict.ADOPT),
    (YOUNG, OLD, False, NetworkVerdict.ADOPT),
    (OLD, YOUNG, False, NetworkVerdict.ADOPT),
    (OLD, OLDER, True, NetworkVerdict.OTHER),
    (OLDER, OLD, True, NetworkVerdict.OTHER),
    (OLD, YOUNG, True, NetworkVerdict.OTHER),
    (YOUNG, OLD, True, NetworkVerdict.OTHER),
    (YOUNG, YOUNGER, True, NetworkVerdict.YOUNGER),
    (YOUNGER, YOUNG, True, NetworkVerdict.ADOPT),
], ids=range(12))  # fmt: skip
def test_the_rule(mine: str, theirs: str, met: bool, verdict: NetworkVerdict) -> None:
    assert judge(mine, theirs, met=met, now_ms=NOW) is verdict


def test_an_id_says_when_it_was_made() -> None:
    assert is_id(OLD)
    assert made_at(OLD) == NOW - YOUNG_MS
    assert not is_id("x" * 28)
    assert not is_id(OLD + "0")


def test_an_id_is_kept_and_said_once_somebody_else_has_it(tmp_path: Path) -> None:
    store = Store(tmp_path / "s.db")
    id_ = NetworkId(store, lambda: NOW)
    assert (id_.value, id_.said) == ("", "")
    id_.make()
    first = id_.value
    assert is_id(first)
    assert id_.said == "", "it may still be another's network that this node is to join"
    assert id_.heard(first)
    assert id_.said == first
    assert not id_.heard(OLD), "another network"
    assert not id_.heard("no id"), "nor is that one"
    assert id_.heard(""), "an earlier release"
    again = NetworkId(store, lambda: NOW)
    assert again.said == first
    store.close()


def test_who_was_alone_takes_the_others_id(tmp_path: Path) -> None:
    store = Store(tmp_path / "s.db")
    id_ = NetworkId(store, lambda: NOW)
    id_.make()
    assert id_.heard(OLD)
    assert id_.said == OLD
    store.close()
