"""Which bytes of a file are in memory."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from minga_node.uploads import page_cache

SIZE = 4 * 2**20


@pytest.fixture(params=["", "/dev/shm"])
def descriptor(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[int]:
    """Of a file on a disk, and of one in memory."""
    path = Path(request.param or tmp_path) / f"pages-{os.getpid()}"
    path.write_bytes(os.urandom(SIZE))
    found = os.open(path, os.O_RDWR)
    path.unlink()
    yield found
    os.close(found)


def test_what_was_written_just_now_is_in_memory(descriptor: int) -> None:
    assert page_cache.ready(descriptor, 0, SIZE) == SIZE
    assert page_cache.ready(descriptor, 5, 6) == 6
    assert page_cache.ready(descriptor, 100_001, SIZE - 3) == SIZE - 3


def test_what_the_system_forgot_is_not_until_it_is_loaded(descriptor: int) -> None:
    os.fsync(descriptor)
    os.posix_fadvise(descriptor, 0, SIZE, os.POSIX_FADV_DONTNEED)
    if page_cache.ready(descriptor, 0, SIZE) == SIZE:
        pytest.skip("this file system forgets nothing")
    start = 2 * 2**20
    assert page_cache.ready(descriptor, start, start + 4096) == start
    data = page_cache.load(descriptor, start, SIZE)
    assert data == os.pread(descriptor, page_cache.LOAD, start)
    assert page_cache.ready(descriptor, start, start + page_cache.LOAD) == start + page_cache.LOAD


def test_where_only_mincore_tells_it_tells_the_same(descriptor: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_cache, "_preadv2", None)
    test_what_was_written_just_now_is_in_memory(descriptor)
    test_what_the_system_forgot_is_not_until_it_is_loaded(descriptor)


def test_nothing_is_loaded_beyond_the_end(descriptor: int) -> None:
    assert page_cache.load(descriptor, SIZE, SIZE + 10) == b""
