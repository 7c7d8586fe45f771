"""How much a node may keep."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from minga_node.capacity import Capacity, Limit, mount_points
from minga_node.errors import StorageFull

KB = 1024


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def fill(folder: Path, name: str, size: int) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(os.urandom(size))
    return path


def test_without_a_limit_the_disk_decides(tmp_path: Path) -> None:
    capacity = Capacity(tmp_path)
    capacity.check(1 << 60, "x")
    assert capacity.disk().total == shutil.disk_usage(tmp_path).total


def test_all_that_is_in_the_directory_counts_and_is_shown(tmp_path: Path) -> None:
    fill(tmp_path, "a/b.bin", 400 * KB)
    fill(tmp_path, ".minga/partial/c", 400 * KB)
    capacity = Capacity(tmp_path, lambda: 1000 * KB)
    disk = capacity.disk()
    assert disk.total == 1000 * KB
    assert 150 * KB <= disk.free <= 200 * KB
    capacity.check(100 * KB, "x")
    with pytest.raises(StorageFull, match=r"x: it takes .* left"):
        capacity.check(300 * KB, "x")


def test_what_is_being_written_counts_before_it_is_on_the_disk(tmp_path: Path) -> None:
    capacity = Capacity(tmp_path, lambda: 1000 * KB)
    with capacity.reserved(600 * KB, "first"):
        with pytest.raises(StorageFull):
            capacity.check(600 * KB, "second")
        capacity.check(300 * KB, "third")
    # Until the next count, it counts as written.
    with pytest.raises(StorageFull):
        capacity.check(800 * KB, "fourth")


def test_a_body_of_unknown_length_is_stopped_where_the_room_ends(tmp_path: Path) -> None:
    capacity = Capacity(tmp_path, lambda: 1000 * KB)
    with capacity.reserved(0, "x") as room:
        for _ in range(9):
            room.more(100 * KB)
        with pytest.raises(StorageFull):
            room.more(200 * KB)


def test_what_is_being_written_counts_once_whenever_a_count_comes(tmp_path: Path) -> None:
    clock = Clock()
    capacity = Capacity(tmp_path, lambda: 1000 * KB, clock)
    with capacity.reserved(600 * KB, "a", tmp_path / "a"):
        fill(tmp_path, "a", 600 * KB)
        clock.now += 60
        assert 396 * KB <= capacity.disk().free <= 400 * KB
        capacity.fits(390 * KB, "b")
    clock.now += 60
    assert 396 * KB <= capacity.disk().free <= 400 * KB


def test_whether_it_fits_takes_nothing(tmp_path: Path) -> None:
    capacity = Capacity(tmp_path, lambda: 1000 * KB)
    for _ in range(3):
        capacity.fits(900 * KB, "x")
    with pytest.raises(StorageFull):
        capacity.fits(1100 * KB, "x")


def test_room_that_was_made_is_seen_when_it_is_needed(tmp_path: Path) -> None:
    clock = Clock()
    capacity = Capacity(tmp_path, lambda: 1000 * KB, clock)
    path = fill(tmp_path, "a", 900 * KB)
    with pytest.raises(StorageFull):
        capacity.check(500 * KB, "x")
    path.unlink()
    clock.now += 1
    capacity.check(500 * KB, "x")


def test_small_files_count_as_what_they_take_on_the_disk(tmp_path: Path) -> None:
    capacity = Capacity(tmp_path, lambda: 40 * KB)
    with capacity.reserved(1, "a"), capacity.reserved(1, "b"):
        assert capacity.disk().free == 32 * KB


def test_the_limit_of_a_file_may_change(tmp_path: Path) -> None:
    file = tmp_path / "limit"
    limit = Limit(7, file)
    assert limit() == 7
    file.write_text("100\n")
    assert limit() == 100
    file.write_text("")
    assert limit() == 100
    file.write_text("200")
    assert limit() == 200
    assert Limit(7, None)() == 7


def test_what_is_mounted_below_is_found_though_it_may_be_of_the_same_disk(tmp_path: Path) -> None:
    table = tmp_path / "mountinfo"
    table.write_text(
        "36 35 98:0 / /data rw,noatime - ext4 /dev/root rw\n"
        "37 36 98:0 /volumes/x /data/shared\\040files rw - ext4 /dev/root rw\n"
        "38 35 98:0 / /database rw - ext4 /dev/root rw\n"
    )
    assert mount_points(Path("/data"), table) == {"/data/shared files"}
    assert mount_points(Path("/data"), tmp_path / "none") == set()
