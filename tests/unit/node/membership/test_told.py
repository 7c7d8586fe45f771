"""What two nodes have told each other of those that are gone."""

from __future__ import annotations

from minga_node.index.log.log_state import LogState
from minga_node.membership.scuttlebutt import Digest
from minga_node.membership.told import ALL_SECONDS, ToldDigests
from minga_node.membership.view import View
from minga_node.membership.view_digests import view_digests
from tests.support.writer import Writer

OWN = {"me": LogState(10, 4)}


def test_all_is_told_first_and_again_after_a_while_and_to_who_does_not_remember() -> None:
    told = ToldDigests()
    assert told.since("a", 0.0) is None
    told.met("a", 5, 77, 6, 0.0, everything=False)
    assert told.since("a", 0.0) is None, "not all was told yet"
    told.met("a", 5, 77, 6, 0.0, everything=True)
    assert told.since("a", 1.0) == (5, 77, 6)
    told.met("a", 8, 77, 9, 1.0, everything=False)
    assert told.since("a", ALL_SECONDS - 1) == (8, 77, 9)
    assert told.since("a", ALL_SECONDS) is None
    told.met("a", 9, 0, 0, 2.0, everything=False)
    assert told.since("a", 2.0) is None


def test_who_rests_is_left_out_until_something_of_it_changes() -> None:
    view = View("me", 5, 15)
    for id_ in ("dead", "alive", "behind"):
        view.learn(Writer(id_).record(), 0.0)
    view.merge([Digest("alive", 5, 9, 0)], OWN["me"], 20.0)
    view.merge([Digest("behind", 5, 1, 7)], OWN["me"], 0.0)
    view.settle(OWN, 20.0)
    since = view.sequence
    assert view_digests(view, OWN, since).keys() == {"me", "alive", "behind"}, "of one there is more to come"
    assert view_digests(view, OWN, 0).keys() == {"me", "alive", "behind", "dead"}
    assert view_digests(view, OWN).keys() == {"me", "alive", "behind", "dead"}
    view.merge([Digest("dead", 5, 99, 0)], OWN["me"], 21.0)
    assert "dead" in view_digests(view, OWN, since)
    view.settle(OWN, 21.0)
    assert "dead" in view_digests(view, OWN, view.sequence), "it lives"
