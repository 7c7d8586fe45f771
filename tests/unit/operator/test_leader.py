"""When a lease may be taken."""

from __future__ import annotations

from minga_operator.leader import Seen, may_take


def lease(holder: str, renewed: str = "t0") -> dict[str, object]:
    return {"holderIdentity": holder, "renewTime": renewed, "leaseDurationSeconds": 15}


def test_ones_own_and_a_free_lease() -> None:
    assert may_take(lease("me"), "me", Seen(), 0)
    assert may_take(lease(""), "me", Seen(), 0)
    assert may_take({}, "me", Seen(), 0)


def test_anothers_lease_only_after_it_was_seen_unrenewed_for_its_duration() -> None:
    seen = Seen()
    assert not may_take(lease("other"), "me", seen, 100)
    assert not may_take(lease("other"), "me", seen, 114)
    assert may_take(lease("other"), "me", seen, 115.1)


def test_a_renewal_starts_the_wait_anew() -> None:
    seen = Seen()
    assert not may_take(lease("other", "t0"), "me", seen, 100)
    assert not may_take(lease("other", "t1"), "me", seen, 114)
    assert not may_take(lease("other", "t1"), "me", seen, 128)
    assert may_take(lease("other", "t1"), "me", seen, 129.1)
