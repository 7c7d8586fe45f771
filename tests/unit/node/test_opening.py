"""The library's contents, opened some at a time for the piece listener."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from minga_node.downloads.contents import CompleteContent, SmallContent
from minga_node.errors import DirectoryAway
from minga_node.opening import SMALL, Opening
from tests.support.home import Home


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    home = Home(tmp_path)
    home.open()
    yield home
    home.close()


def put(home: Home, name: str, data: bytes) -> str:
    return home.library.put(name, io.BytesIO(data), len(data))[0].id


def test_small_files_are_read_and_others_have_a_descriptor(home: Home) -> None:
    small, big = put(home, "small", b"s" * SMALL), put(home, "big", b"b" * (SMALL + 1))
    empty = put(home, "empty", b"")
    with Opening(home.library).several() as open_one:
        found = [open_one(one) for one in (small, empty, big)]
        assert open_one("0" * 64) is None
    assert isinstance(found[0], SmallContent)
    assert isinstance(found[1], SmallContent)
    assert (found[0].data, found[1].data) == (b"s" * SMALL, b"")
    assert isinstance(found[2], CompleteContent)
    assert os.pread(found[2].fileno(), 10, SMALL) == b"b"
    found[2].close()


def test_what_is_not_what_it_was_is_not_served(home: Home) -> None:
    small, gone = put(home, "small", b"s" * 100), put(home, "gone", b"g" * 100)
    (home.directory / "small").write_bytes(b"S" * 100)
    (home.directory / "gone").unlink()
    with Opening(home.library).several() as open_one:
        assert [open_one(one) for one in (small, gone)] == [None, None]


def test_another_file_with_the_content_is_taken(home: Home) -> None:
    small = put(home, "a", b"s" * 100)
    assert put(home, "b", b"s" * 100) == small
    (home.directory / "a").unlink()
    with Opening(home.library).several() as open_one:
        content = open_one(small)
    assert isinstance(content, SmallContent)


def test_nothing_is_opened_in_another_directory_in_its_place(home: Home) -> None:
    small = put(home, "small", b"s" * 100)
    home.directory.rename(home.directory.with_name("elsewhere"))
    home.directory.mkdir()
    (home.directory / "small").write_bytes(b"s" * 100)
    with Opening(home.library).several() as open_one, pytest.raises(DirectoryAway):
        open_one(small)


def test_it_leaves_no_descriptor_open(home: Home) -> None:
    ids = [put(home, f"{number}", bytes([number]) * 100) for number in range(20)]
    before = len(list(Path("/proc/self/fd").iterdir()))
    with Opening(home.library).several() as open_one:
        contents = [open_one(one) for one in ids]
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    assert all(content is not None and content.data is not None for content in contents)
