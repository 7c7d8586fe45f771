"""Which connections are kept where there are too many."""

from __future__ import annotations

import pytest

from minga_node.uploads.connection_limits import ConnectionLimits, party


def filled(most: int, most_of_one: int, *parties: str) -> ConnectionLimits[int]:
    """Connections numbered from 0, of these parties."""
    connections: ConnectionLimits[int] = ConnectionLimits(most, most_of_one)
    for number, whose in enumerate(parties):
        connections.add(number, whose)
    return connections


def order(connections: ConnectionLimits[int], whose: str) -> list[int | None]:
    """Those that would go, one after the other, until nobody else may."""
    gone: list[int | None] = []
    while (item := connections.least_useful(whose)) is not None:
        connections.remove(item)
        gone.append(item)
    return gone


def test_who_has_got_nothing_goes_first_and_of_those_the_first_that_came() -> None:
    connections = filled(9, 9, *"aaaa")
    connections.works(0)
    connections.rests(0, proven=True)
    assert order(connections, "b") == [1, 2, 3, 0]


def test_who_asked_in_vain_goes_before_who_has_just_come() -> None:
    connections = filled(9, 9, *"aaa")
    connections.works(2)
    connections.rests(2, proven=False)
    assert order(connections, "b") == [2, 0, 1]


def test_who_is_being_served_stays() -> None:
    connections = filled(2, 9, *"aa")
    connections.works(0)
    connections.works(1)
    assert connections.full_for("b")
    assert connections.least_useful("b") is None


def test_of_those_that_were_of_use_the_one_that_has_rested_longest_goes() -> None:
    connections = filled(9, 9, *"aaa")
    for number in (2, 0, 1):
        connections.works(number)
        connections.rests(number, proven=True)
    connections.works(2)
    connections.rests(2, proven=False)
    assert order(connections, "b") == [0, 1, 2]


def test_a_party_that_has_all_its_places_loses_its_own() -> None:
    connections = filled(9, 2, "other", "a", "a")
    assert connections.full_for("a")
    assert not connections.full_for("other")
    assert connections.least_useful("a") == 1


def test_what_has_ended_is_forgotten() -> None:
    connections = filled(2, 2, "a", "b")
    connections.works(1)
    connections.remove(0)
    connections.remove(1)
    connections.rests(1, proven=True)
    assert (len(connections), connections.least_useful("c"), connections.full_for("a")) == (0, None, False)


@pytest.mark.parametrize(
    ("address", "whose"),
    [
        ("198.18.0.7", "198.18.0.7"),
        ("::ffff:198.18.0.7", "198.18.0.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("unix", "unix"),
    ],
)
def test_whose_an_address_is(address: str, whose: str) -> None:
    assert party(address) == whose
