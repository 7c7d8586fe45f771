"""What an answer brings is compared with what was asked for, before a byte of it counts."""

from __future__ import annotations

import pytest

from minga_node.errors import MingaError
from minga_node.fetching.holder_connection import answered
from minga_node.manifest import SMALLEST_PIECE_BYTES, Manifest
from minga_node.swarm import PieceFetch

PIECE = SMALLEST_PIECE_BYTES
SIZE = 9 * PIECE + 100
MANIFEST = Manifest(SIZE, bytes(10 * 32))
ASK = PieceFetch(1, "holder", (range(2, 5), range(7, 10)))


def brings(first: int, after: int, *, size: int = SIZE, length: int | None = None) -> range | None:
    """Bytes [first, after) of the content."""
    said = f"bytes {first}-{after - 1}/{size}"
    return answered(MANIFEST, ASK, said, after - first if length is None else length)


@pytest.mark.parametrize(
    ("pieces", "end"),
    [
        (range(2, 5), 5 * PIECE),
        (range(2, 3), 3 * PIECE),
        (range(7, 9), 9 * PIECE),
        (range(7, 10), SIZE),
    ],
)
def test_a_candidate_or_its_beginning_is_taken(pieces: range, end: int) -> None:
    assert brings(pieces.start * PIECE, end) == pieces


@pytest.mark.parametrize(
    ("first", "after"),
    [
        (2 * PIECE, 6 * PIECE),
        (3 * PIECE, 5 * PIECE),
        (0, PIECE),
        (5 * PIECE, 6 * PIECE),
        (2 * PIECE, 5 * PIECE - 1),
        (2 * PIECE + 1, 5 * PIECE),
        (9 * PIECE, SIZE),
    ],
    ids=["too long", "another start", "not asked", "between", "cut off", "begun late", "the end of one"],
)
def test_another_range_is_not(first: int, after: int) -> None:
    assert brings(first, after) is None


def test_another_size_of_the_whole_is_not() -> None:
    assert brings(2 * PIECE, 5 * PIECE, size=SIZE + 1) is None


@pytest.mark.parametrize("off", [-1, 1, 10 * PIECE])
def test_a_body_of_another_length_is_not(off: int) -> None:
    assert brings(2 * PIECE, 5 * PIECE, length=3 * PIECE + off) is None


@pytest.mark.parametrize("said", ["", "bytes */100", "bytes 5-2/10", "items 0-1/2", "bytes 0-1"])
def test_what_is_no_range_is_refused(said: str) -> None:
    with pytest.raises(MingaError):
        answered(MANIFEST, ASK, said, 2)
