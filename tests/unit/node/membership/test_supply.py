"""What is given to those who lack something."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from minga_node.errors import Busy
from minga_node.index import Delta, Index
from minga_node.membership.catch_up_slots import STREAMS
from minga_node.membership.scuttlebutt import Need
from minga_node.membership.supply import Supply
from minga_node.model import LocalFile


@pytest.fixture
def index(index: Index) -> Index:
    index.publish([LocalFile(f"name-{n}", f"{n:064x}", 1, "x/y", 1) for n in range(50)])
    return index


def test_a_stream_has_everything_in_parts_that_follow_one_another(index: Index) -> None:
    deltas = list(Supply(index.logs).all([Need("me", 10)], 500, "reader", lambda: None))
    assert len(deltas) > 3
    assert [delta.from_version for delta in deltas] == [10, *(delta.to_version for delta in deltas[:-1])]
    assert sum(len(delta.entries) for delta in deltas) == 40


def test_some_is_bounded_and_says_that_there_is_more(index: Index) -> None:
    (delta,), more = Supply(index.logs).some([Need("me", 45)], 500)
    assert not more
    assert (len(delta.entries), bool(delta.signature)) == (5, True)
    assert Supply(index.logs).some([Need("me", 40)], 500) == ((), True), "no part that nobody could check"
    assert Supply(index.logs).some([Need("me", 0)], 2**20)[1] is False


def test_there_are_so_many_streams_and_one_that_is_left_gives_its_place_back(
    index: Index,
) -> None:
    supply = Supply(index.logs)
    running = [stream(supply, f"reader {n}") for n in range(STREAMS)]
    for each in running:
        next(each)
    with pytest.raises(Busy):
        next(stream(supply, "another"))
    running.pop().close()
    assert next(stream(supply, "another"))


def stream(supply: Supply, reader: str) -> Generator[Delta, None, None]:
    return supply.all([Need("me", 0)], 500, reader, lambda: None)
