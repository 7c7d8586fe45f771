"""When a content counts as gone."""

from __future__ import annotations

from minga_node.downloads.doubt import DENIED_SECONDS, SETTLE_SECONDS, Doubt


def test_who_shared_it_and_shares_it_no_more_denies_it() -> None:
    doubt = Doubt()
    assert not doubt.gone({"a": True}, False, 0.0)
    assert not doubt.gone({}, True, 10.0)
    assert not doubt.gone({}, True, 10.0 + SETTLE_SECONDS - 0.1)
    assert doubt.gone({}, False, 10.0 + SETTLE_SECONDS)


def test_a_node_that_is_away_denies_nothing() -> None:
    doubt = Doubt()
    doubt.denied_by(["a", "b"], 0.0)
    assert not doubt.gone({"a": True, "b": False}, True, 1e6)
    assert doubt.gone({"a": True, "b": True}, True, 1e6)


def test_one_that_shares_it_may_take_its_time_to_find_it_again() -> None:
    doubt = Doubt()
    doubt.denied_by(["a"], 100.0)
    doubt.denied_by(["a"], 120.0)
    assert not doubt.gone({"a": True}, False, 100.0 + DENIED_SECONDS - 0.1)
    assert doubt.gone({"a": True}, False, 100.0 + DENIED_SECONDS)
    doubt.given_by(["a"])
    assert not doubt.gone({"a": True}, False, 1e6)


def test_one_that_was_not_asked_denies_nothing() -> None:
    doubt = Doubt()
    doubt.denied_by(["a"], 0.0)
    assert not doubt.gone({"a": True, "b": True}, True, 1e6)


def test_sharing_it_again_in_between_begins_anew() -> None:
    doubt = Doubt()
    doubt.gone({"a": True}, False, 0.0)
    doubt.gone({}, False, 1.0)
    doubt.gone({"a": True}, False, 2.0)
    assert not doubt.gone({}, False, 1.0 + SETTLE_SECONDS)


def test_nobody_denies_what_nobody_was_ever_seen_to_have() -> None:
    doubt = Doubt()
    doubt.gone({}, False, 0.0)
    assert not doubt.gone({}, False, 1e6), "the index may be young"
    doubt.gone({}, True, 1e6)
    assert doubt.gone({}, True, 1e6 + DENIED_SECONDS), "its name has another content"
