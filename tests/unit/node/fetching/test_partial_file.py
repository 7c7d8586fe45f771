from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

import pytest
from blake3 import blake3

from minga_node.errors import StorageFull
from minga_node.fetching import PartialFile
from minga_node.fetching.partial_file import PARTS, storage_error, write_all
from minga_node.manifest import Manifest
from minga_node.wire import piece_set as sets

CONTENT = os.urandom(3 * 65536 + 100)
PIECES = [CONTENT[start : start + 65536] for start in range(0, len(CONTENT), 65536)]
MANIFEST = Manifest(len(CONTENT), b"".join(blake3(piece).digest() for piece in PIECES))


def put(partial: PartialFile, piece: int) -> bool:
    return partial.put(piece, memoryview(PIECES[piece]))


def reserve(partial: PartialFile) -> None:
    for _ in partial.reserve():
        pass


def test_the_whole_size_is_reserved_and_what_is_there_stays(tmp_path: Path) -> None:
    partial = PartialFile(tmp_path, MANIFEST)
    put(partial, 1)
    reserve(partial)
    assert partial.path.read_bytes()[65536:131072] == PIECES[1]
    assert partial.path.stat().st_blocks * 512 >= len(CONTENT)
    partial.close()


def test_room_is_reserved_in_a_bounded_number_of_steps_with_time_for_pieces_between(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    partial = PartialFile(tmp_path, MANIFEST)
    monkeypatch.setattr("minga_node.fetching.partial_file.RESERVED_AT_ONCE", 4096)
    before = [partial.path.stat().st_blocks]
    before += [partial.path.stat().st_blocks for _ in partial.reserve()]
    assert before == sorted(before)
    assert before[0] == before[1] == 0, "first it looks whether there is room"
    assert PARTS // 2 < len(set(before)) <= PARTS
    assert partial.path.stat().st_blocks * 512 >= len(CONTENT)
    partial.close()


def test_verified_pieces_are_there_after_it_was_opened_again(tmp_path: Path) -> None:
    partial = PartialFile(tmp_path, MANIFEST)
    put(partial, 0)
    put(partial, 3)
    partial.close()
    again = PartialFile(tmp_path, MANIFEST)
    assert again.have == sets.of([0, 3])
    assert again.verified_bytes == 65536 + 100
    again.close()


def test_a_marked_piece_whose_bytes_are_not_there_is_fetched_again(tmp_path: Path) -> None:
    partial = PartialFile(tmp_path, MANIFEST)
    put(partial, 0)
    put(partial, 1)
    partial.close()
    with partial.path.open("r+b") as file:
        file.write(b"what a power cut leaves")
    again = PartialFile(tmp_path, MANIFEST)
    assert again.have == sets.of([1])
    again.close()


def test_a_piece_is_in_one_receivers_hands_at_a_time(tmp_path: Path) -> None:
    partial = PartialFile(tmp_path, MANIFEST)
    claim = partial.claim(1)
    assert claim is not None
    assert partial.claim(1) is None
    write_all(partial.fileno(), memoryview(PIECES[1]), 65536)
    assert not partial.have
    partial.release(claim, verified=True)
    assert partial.have == sets.of([1])
    assert partial.claim(1) is None
    partial.close()


def test_a_piece_that_failed_may_be_received_again(tmp_path: Path) -> None:
    partial = PartialFile(tmp_path, MANIFEST)
    claim = partial.claim(1)
    assert claim is not None
    partial.release(claim, verified=False)
    assert not partial.have
    again = partial.claim(1)
    assert again is not None
    partial.release(again, verified=False)
    partial.close()


def test_who_has_a_verified_copy_takes_the_piece_from_a_slower_receiver(tmp_path: Path) -> None:
    partial = PartialFile(tmp_path, MANIFEST)
    claim = partial.claim(2)
    assert claim is not None
    write_all(partial.fileno(), memoryview(b"bad"), 2 * 65536)
    assert put(partial, 2)
    assert claim.lost, "nothing more is written by it"
    partial.release(claim, verified=False)
    assert partial.have == sets.of([2])
    assert partial.path.read_bytes()[2 * 65536 : 3 * 65536] == PIECES[2]
    assert put(partial, 2), "it is here already"
    partial.close()


def test_a_receiver_that_is_writing_is_waited_for(tmp_path: Path) -> None:
    partial = PartialFile(tmp_path, MANIFEST)
    claim = partial.claim(2)
    assert claim is not None
    with claim.lock:
        thread = threading.Thread(target=put, args=(partial, 2))
        thread.start()
        thread.join(0.1)
        assert thread.is_alive()
        write_all(partial.fileno(), memoryview(b"bad"), 2 * 65536)
    thread.join(5)
    assert partial.path.read_bytes()[2 * 65536 : 3 * 65536] == PIECES[2]
    partial.close()


def test_what_is_closed_takes_nothing(tmp_path: Path) -> None:
    partial = PartialFile(tmp_path, MANIFEST)
    partial.close()
    assert not put(partial, 2)
    assert not partial.have


def test_an_empty_content_is_complete_at_once(tmp_path: Path) -> None:
    partial = PartialFile(tmp_path, Manifest.of_one_piece(b""))
    assert partial.complete
    partial.close()


def no_room(descriptor: int, offset: int, length: int) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_is_said_and_nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    partial = PartialFile(tmp_path, MANIFEST)
    monkeypatch.setattr(os, "posix_fallocate", no_room)
    with pytest.raises(StorageFull):
        reserve(partial)
    assert not list(tmp_path.iterdir())
    with pytest.raises(StorageFull):
        PartialFile(tmp_path, MANIFEST)
    assert not list(tmp_path.iterdir())
    partial.close()


def test_what_came_while_room_was_sought_does_not_keep_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    partial = PartialFile(tmp_path, MANIFEST)
    monkeypatch.setattr("minga_node.fetching.partial_file.RESERVED_AT_ONCE", 65536)
    reserved: list[int] = []

    def room_for_two(descriptor: int, offset: int, length: int) -> None:
        if len(reserved) == 2:
            no_room(descriptor, offset, length)
        reserved.append(offset)

    monkeypatch.setattr(os, "posix_fallocate", room_for_two)
    with pytest.raises(StorageFull):
        for _ in partial.reserve():
            put(partial, 1)
    assert partial.have == sets.of([1])
    assert not list(tmp_path.iterdir())
    partial.close()


def test_what_came_before_room_was_sought_does_not_keep_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    partial = PartialFile(tmp_path, MANIFEST)
    put(partial, 1)
    monkeypatch.setattr(os, "posix_fallocate", no_room)
    with pytest.raises(StorageFull):
        reserve(partial)
    assert not list(tmp_path.iterdir())
    partial.close()


def test_no_room_is_taken_for_what_will_not_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    partial = PartialFile(tmp_path, MANIFEST)
    put(partial, 1)
    partial.close()
    partial = PartialFile(tmp_path, MANIFEST)
    before = partial.path.stat().st_blocks
    full = os.statvfs_result((4096, 4096, 100, 3, 3, 0, 0, 0, 0, 255))
    monkeypatch.setattr(os, "fstatvfs", lambda _: full)
    with pytest.raises(StorageFull):
        reserve(partial)
    assert partial.path.stat().st_blocks == before
    partial.close()


def test_what_is_here_stays_when_the_disk_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    partial = PartialFile(tmp_path, MANIFEST)
    put(partial, 1)
    partial.close()
    again = PartialFile(tmp_path, MANIFEST)
    monkeypatch.setattr(os, "posix_fallocate", no_room)
    with pytest.raises(StorageFull):
        reserve(again)
    again.close()
    assert PartialFile(tmp_path, MANIFEST).have == sets.of([1])


def test_a_quota_is_a_full_disk_too() -> None:
    assert isinstance(storage_error(OSError(errno.EDQUOT, "quota"), Path("x")), StorageFull)
