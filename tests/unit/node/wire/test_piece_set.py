from __future__ import annotations

from random import Random

from minga_node.wire import piece_set as sets


def test_a_set_gives_its_numbers_in_order() -> None:
    assert list(sets.each(sets.of([70, 3, 0]))) == [0, 3, 70]


def test_picking_reaches_every_member_and_nothing_else() -> None:
    members = {2, 3, 40, 63}
    random = Random(1)
    assert {sets.pick(sets.of(members), random) for _ in range(500)} == members


def test_a_run_ends_where_a_piece_is_missing_or_it_is_long_enough() -> None:
    pieces = sets.of([1, 2, 3, 5])
    assert sets.run_from(pieces, 1, 10) == 3
    assert sets.run_from(pieces, 1, 2) == 2
    assert sets.run_from(pieces, 4, 10) == 0


def test_bytes_carry_a_set_and_no_more_than_was_counted() -> None:
    pieces = sets.of([0, 9, 12])
    assert sets.from_bytes(sets.to_bytes(pieces, 13), 13) == pieces
    assert sets.from_bytes(b"\xff\xff", 10) == sets.all_pieces(10)
