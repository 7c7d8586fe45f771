"""What a grant lets its bearer do: the whole table."""

from __future__ import annotations

import pytest

from minga_node.grants import EVERYTHING, Grant, Scope

TEAM = ("team-a/",)


@pytest.mark.parametrize(
    ("grant", "name", "reads", "writes"),
    [
        (EVERYTHING, "x", True, True),
        (Grant(Scope.READ), "x", True, False),
        (Grant(Scope.WRITE, TEAM), "team-a/x", True, True),
        (Grant(Scope.WRITE, TEAM), "team-a/deep/x", True, True),
        (Grant(Scope.READ, TEAM), "team-a/x", True, False),
        (Grant(Scope.WRITE, TEAM), "team-ab/x", False, False),
        (Grant(Scope.WRITE, TEAM), "team-a", False, False),
        (Grant(Scope.WRITE, TEAM), "Team-a/x", False, False),
        (Grant(Scope.WRITE, TEAM), "x/team-a/x", False, False),
        (Grant(Scope.WRITE, ("a/", "b/")), "b/x", True, True),
        (Grant(Scope.WRITE, ("a/", "b/")), "c/x", False, False),
        (Grant(Scope.READ, ("report-",)), "report-2030.pdf", True, False),
    ],
)
def test_who_may_do_what_with_which_name(grant: Grant, name: str, reads: bool, writes: bool) -> None:
    assert (grant.reads(name), grant.writes(name)) == (reads, writes)


def test_only_prefixes_make_a_grant_limited() -> None:
    assert not EVERYTHING.is_limited
    assert not Grant(Scope.READ, expires=1).is_limited
    assert Grant(Scope.WRITE, TEAM).is_limited


def test_a_grant_is_good_until_it_expires() -> None:
    assert EVERYTHING.is_good(2e9)
    grant = Grant(Scope.READ, expires=100)
    assert grant.is_good(99.9)
    assert not grant.is_good(100)
