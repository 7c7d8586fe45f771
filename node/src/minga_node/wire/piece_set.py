"""Sets of pieces as integers: bit n stands for piece n.

Python's integers make unions, intersections and counts of thousands of pieces in well below a microsecond.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from random import Random

Pieces = int


def all_pieces(count: int) -> Pieces:
    return (1 << count) - 1


def of(pieces: Iterable[int]) -> Pieces:
    result = 0
    for piece in pieces:
        result |= 1 << piece
    return result


def of_range(pieces: range) -> Pieces:
    """Consecutive numbers."""
    return all_pieces(len(pieces)) << pieces.start


def each(pieces: Pieces) -> Iterator[int]:
    """The numbers in the set, ascending."""
    while pieces:
        low = pieces & -pieces
        yield low.bit_length() - 1
        pieces ^= low


def first(pieces: Pieces) -> int:
    """The least number in a set that is not empty."""
    return (pieces & -pieces).bit_length() - 1


def pick(pieces: Pieces, random: Random) -> int:
    """Some number in a set that is not empty: the first at or after a random place, cyclically."""
    low = first(pieces)
    place = low + int(random.random() * (pieces.bit_length() - low))
    after = pieces >> place
    return place + first(after) if after else low


def run_from(pieces: Pieces, start: int, longest: int) -> int:
    """How many consecutive numbers from ``start`` on are in the set, at most ``longest``."""
    shifted = (pieces >> start) & all_pieces(longest)
    return first(~shifted)


def to_bytes(pieces: Pieces, count: int) -> bytes:
    """One bit a piece, least significant bit of the first byte first."""
    return pieces.to_bytes(-(-count // 8), "little")


def from_bytes(data: bytes, count: int) -> Pieces:
    """The inverse; bits beyond ``count`` are ignored."""
    return int.from_bytes(data[: -(-count // 8)], "little") & all_pieces(count)
