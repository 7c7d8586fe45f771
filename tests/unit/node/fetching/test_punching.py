"""Zeros in a file as holes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from minga_node.fetching.punching import FIRST_BYTES, is_zero, punch

BLOCK = 64 * 1024


@pytest.mark.parametrize(
    ("data", "zero"),
    [
        (bytes(BLOCK), True),
        (bytes(10), True),
        (b"", True),
        (bytes(FIRST_BYTES) + b"x" + bytes(100), False),
        (b"x" + bytes(BLOCK), False),
        (bytes(BLOCK) + b"x", False),
    ],
)
def test_only_zeros_are_zeros(data: bytes, zero: bool) -> None:
    assert is_zero(memoryview(data)) is zero


def test_a_hole_reads_as_zeros_takes_no_room_and_leaves_the_rest(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"a" * 4 * BLOCK)
    descriptor = os.open(path, os.O_RDWR)
    try:
        os.fsync(descriptor)
        before = path.stat().st_blocks
        assert punch(descriptor, BLOCK, 2 * BLOCK)
    finally:
        os.close(descriptor)
    assert path.read_bytes() == b"a" * BLOCK + bytes(2 * BLOCK) + b"a" * BLOCK
    assert (before - path.stat().st_blocks) * 512 == 2 * BLOCK


def test_where_there_are_no_holes_it_says_so() -> None:
    reading, writing = os.pipe()
    try:
        assert not punch(writing, 0, BLOCK)
    finally:
        os.close(reading)
        os.close(writing)
