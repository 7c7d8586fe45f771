from __future__ import annotations

import contextlib
import io
import os
import shutil
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from minga_node.errors import BadRequest, Conflict, InvalidName, NotFound, StorageFull
from minga_node.library.hashes import KnownHash
from minga_node.library.scan import look
from minga_node.manifest import hash_file
from minga_node.model import LocalFile
from tests.support.home import Home, Shelf
from tests.waiting import wait_for


def test_a_hash_is_kept_together_with_the_entry_in_the_index(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = home.open()
    home.write("a.txt")
    with library.root.open() as root:
        found = look(root, "a.txt")
    assert found is not None
    announced: list[KnownHash | None] = []

    def publish(_: Sequence[LocalFile]) -> None:
        announced.append(home.hashes.get(found.signature))
        if len(announced) == 1:
            raise StorageFull("no room")

    monkeypatch.setattr(home.shelf, "publish", publish)
    with pytest.raises(StorageFull):
        library.share([(found, "ab" * 32)])
    assert home.hashes.get(found.signature) is None
    assert not library.files()
    library.share([(found, "ab" * 32)])
    assert announced == [None, None], "others see neither before they see both"
    assert home.hashes.get(found.signature) == KnownHash("ab" * 32, certain=True)


def test_files_of_the_directory_are_shared_recursively(home: Home) -> None:
    home.write("a.txt")
    home.write("deep/er/b.bin", b"other")
    home.watch()
    wait_for(home.shared("a.txt", "deep/er/b.bin"), "both files")
    assert home.shelf.files["a.txt"].media_type == "text/plain"
    assert home.shelf.files["deep/er/b.bin"].size == 5


def test_hidden_names_and_own_state_are_not_shared(home: Home) -> None:
    home.write(".secret")
    home.write(".git/config")
    home.write(".minga/partial/x")
    home.write("seen")
    home.watch()
    wait_for(home.shared("seen"), "only the file that is not hidden")


def watches() -> int:
    """Inotify watches of this process (proc(5), fdinfo)."""
    count = 0
    for path in Path("/proc/self/fdinfo").iterdir():
        with contextlib.suppress(OSError):
            count += path.read_text().count("inotify wd:")
    return count


@pytest.mark.skipif(sys.platform != "linux", reason="inotify")
def test_hidden_folders_are_not_watched(home: Home) -> None:
    home.write("a/b/c")
    home.write(".minga/partial/x")
    before = watches()
    home.watch()
    wait_for(home.shared("a/b/c"), "the file")
    assert watches() - before == 3, "the directory, a and a/b"
    home.write(".git/objects/00/1")
    home.write("a/.cache/2")
    home.write("a/d/3")
    wait_for(home.shared("a/b/c", "a/d/3"), "the file of a new folder")
    assert watches() - before == 4, "and a/d"


def test_a_hidden_folder_that_gets_a_name_is_noticed_with_what_comes_later(home: Home) -> None:
    home.write(".hidden/1")
    home.watch()
    (home.directory / ".hidden").rename(home.directory / "seen")
    wait_for(home.shared("seen/1"), "what was in it")
    home.write("seen/2")
    wait_for(home.shared("seen/1", "seen/2"), "what comes into it")
    (home.directory / "seen").rename(home.directory / ".hidden")
    wait_for(home.shared(), "that it is hidden again")


def test_changes_behind_its_back_are_noticed(home: Home) -> None:
    home.watch()
    home.write("new.txt", b"one")
    wait_for(home.shared("new.txt"), "a file copied in")
    first = home.shelf.files["new.txt"].id
    home.write("new.txt", b"two!")
    wait_for(lambda: home.shelf.files["new.txt"].id != first, "an edit")
    (home.directory / "new.txt").rename(home.directory / "other.txt")
    wait_for(home.shared("other.txt"), "a rename")
    (home.directory / "other.txt").unlink()
    wait_for(home.shared(), "a deletion")


def test_a_folder_that_comes_and_goes_takes_its_files_along(home: Home, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    (outside / "x").mkdir(parents=True)
    (outside / "x" / "1").write_bytes(b"1")
    (outside / "2").write_bytes(b"2")
    home.watch()
    outside.rename(home.directory / "moved")
    wait_for(home.shared("moved/x/1", "moved/2"), "the moved folder")
    shutil.rmtree(home.directory / "moved")
    wait_for(home.shared(), "the removed folder")


def test_the_rescan_finds_what_no_notification_told(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("minga_node.library.observing._Handler.on_any_event", lambda *_: None)
    home.watch(rescan=0.1)
    path = home.write("quietly")
    wait_for(home.shared("quietly"), "the rescan")
    path.unlink()
    wait_for(home.shared(), "the rescan again")


def test_a_rename_does_not_hash_again(home: Home) -> None:
    home.write("a")
    home.watch()
    wait_for(home.shared("a"), "the file")
    (home.directory / "a").rename(home.directory / "b")
    wait_for(home.shared("b"), "the new name")
    assert home.hashed == ["a"]


def test_hashes_survive_a_restart(home: Home) -> None:
    home.write("a")
    home.watch()
    wait_for(home.shared("a"), "the file")
    home.close()
    home.shelf = Shelf()
    home.watch()
    wait_for(home.shared("a"), "the file again")
    assert home.hashed == ["a"]


def test_what_went_while_the_node_was_away_is_removed(home: Home) -> None:
    path = home.write("a")
    home.watch()
    wait_for(home.shared("a"), "the file")
    home.close()
    path.unlink()
    home.watch()
    wait_for(home.shared(), "its removal")


def test_a_file_being_written_is_published_when_it_is_quiet(home: Home) -> None:
    home.quiet = 0.4
    home.watch()
    with (home.directory / "growing").open("wb") as out:
        until = time.monotonic() + 1.2
        while time.monotonic() < until:
            out.write(b"x" * 100)
            out.flush()
            time.sleep(0.05)
        assert home.shelf.files == {}
    wait_for(home.shared("growing"), "the quiet file")
    assert home.shelf.files["growing"].size == (home.directory / "growing").stat().st_size
    assert home.hashed == ["growing"]


def test_what_is_shared_while_the_watcher_waits_for_quiet_is_not_hashed(home: Home) -> None:
    """Fetched files get their names before they are shared, hundreds at a time: it sees them first."""
    home.quiet = 0.5
    library = home.watch()
    path = home.write("fetched")
    watcher = home.watcher
    assert watcher is not None
    wait_for(lambda: "fetched" in watcher._pending, "the watcher has seen it")
    with library.root.open() as root:
        found = look(root, "fetched")
    assert found is not None
    library.share([(found, hash_file(path).id)])
    home.write("later")
    wait_for(home.shared("fetched", "later"), "the one that came after it")
    assert home.hashed == ["later"]


def test_a_link_that_leaves_the_directory_is_not_shared(home: Home, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    (home.directory / "out").symlink_to(tmp_path / "secret")
    (home.directory / "outdir").symlink_to(tmp_path)
    home.write("inside")
    (home.directory / "in").symlink_to("inside")
    (home.directory / "loop").symlink_to("loop")
    home.watch()
    wait_for(home.shared("inside", "in"), "the link that stays inside")


def test_a_directory_that_is_gone_is_not_an_empty_library(home: Home, tmp_path: Path) -> None:
    home.write("a")
    home.watch(rescan=0.05)
    wait_for(home.shared("a"), "the file")
    home.directory.rename(tmp_path / "unmounted")
    with pytest.raises(AssertionError):
        wait_for(home.shared(), "nothing may be withdrawn", timeout=0.5)


def test_put_is_shared_at_once_and_opens_with_the_same_bytes(home: Home) -> None:
    library = home.open()
    file, is_new = library.put("x/y.bin", io.BytesIO(b"hello"), 5)
    assert is_new
    assert home.shelf.files == {"x/y.bin": file}
    with library.open("x/y.bin").stream as stream:
        assert stream.read() == b"hello"
    opened = library.open_id(file.id)
    assert opened is not None
    with opened.stream as stream:
        assert stream.read() == b"hello"


def test_put_replaces(home: Home) -> None:
    library = home.open()
    first, _ = library.put("a", io.BytesIO(b"one"), 3)
    second, is_new = library.put("a", io.BytesIO(b"two2"), 4)
    assert not is_new
    assert library.open_id(first.id) is None
    assert library.find("a") == second


def test_a_short_body_publishes_nothing(home: Home) -> None:
    library = home.open()
    with pytest.raises(BadRequest, match="3 of 10 bytes"):
        library.put("a", io.BytesIO(b"abc"), 10)
    assert home.shelf.log == []
    assert not (home.directory / "a").exists()
    assert list((home.directory / ".minga" / "incoming").iterdir()) == []


@pytest.mark.parametrize("name", ["../a", "/a", "", ".a"])
def test_put_refuses_bad_names_and_touches_nothing(home: Home, name: str) -> None:
    library = home.open()
    with pytest.raises(InvalidName):
        library.put(name, io.BytesIO(b"x"), 1)
    assert {path.relative_to(home.directory).as_posix() for path in home.directory.rglob("*")} == {
        ".minga",
        ".minga/directory",
    }


def test_put_through_a_link_that_leaves_is_refused(home: Home, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (home.directory / "out").symlink_to(tmp_path / "outside")
    with pytest.raises(InvalidName, match="leads out"):
        home.open().put("out/a", io.BytesIO(b"x"), 1)
    assert list((tmp_path / "outside").iterdir()) == []


def test_put_over_a_folder_is_a_conflict(home: Home) -> None:
    home.write("folder/a")
    with pytest.raises(Conflict):
        home.open().put("folder", io.BytesIO(b"x"), 1)


def test_a_full_disk_leaves_nothing_half_written(home: Home) -> None:
    class Full(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            raise OSError(28, os.strerror(28))

    with pytest.raises(StorageFull):
        home.open().put("a", Full(), 10)
    assert home.shelf.log == []
    assert not (home.directory / "a").exists()


def test_a_file_changed_since_it_was_hashed_is_not_served(home: Home) -> None:
    library = home.open()
    file, _ = library.put("a", io.BytesIO(b"old"), 3)
    home.write("a", b"new content")
    with pytest.raises(NotFound, match="being changed"):
        library.open("a")
    assert library.open_id(file.id) is None


def test_adopt_keeps_a_different_file_of_the_same_name(home: Home) -> None:
    library = home.open()
    library.put("a.txt", io.BytesIO(b"mine"), 4)
    partial = home.write(".minga/partial/p", b"theirs")
    manifest = hash_file(partial)
    library.adopt([(partial, "a.txt", manifest)])
    assert (home.directory / "a.txt").read_bytes() == b"mine"
    assert (home.directory / f"a.{manifest.id[:8]}.txt").read_bytes() == b"theirs"


def test_adopt_takes_many_files_at_once(home: Home) -> None:
    library = home.open()
    partials = [home.write(f".minga/partial/{n}", b"x" * n) for n in range(50)]
    library.adopt([(path, f"many/{path.name}", hash_file(path)) for path in partials])
    assert set(home.shelf.files) == {f"many/{n}" for n in range(50)}
    assert library.totals() == (50, sum(range(50)))


def test_delete_removes_file_and_entry(home: Home) -> None:
    library = home.open()
    library.put("a", io.BytesIO(b"x"), 1)
    library.delete("a")
    assert home.shelf.files == {}
    assert not (home.directory / "a").exists()
    with pytest.raises(NotFound):
        library.delete("a")


def test_looks_do_not_wait_for_a_change_that_waits_for_the_disk(home: Home) -> None:
    """Placing a file may mean to copy it; who lists, or opens other files, must not wait for that."""
    library = home.open()
    file, _ = library.put("a.txt", io.BytesIO(b"here"), 4)
    with library._lock, ThreadPoolExecutor(1) as others:

        def look() -> bytes:
            opened = library.open_id(file.id)
            assert opened is not None
            with opened.stream as stream, library.open("a.txt").stream as same:
                assert same.read() == b"here"
                assert library.totals() == (1, 4)
                assert library.find("a.txt") == library.files()[0]
                return stream.read()

        assert others.submit(look).result(10) == b"here"
