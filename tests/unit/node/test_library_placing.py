"""Whatever the library renames or removes: what the user has just saved is never lost."""

from __future__ import annotations

import errno
import io
import os
from pathlib import Path

import pytest

from minga_node import beneath
from minga_node.errors import Conflict, InvalidName, PreconditionFailed
from minga_node.library import UNKNOWN, Library, placing, scan
from minga_node.manifest import hash_file
from tests.support.home import Home


def contents(home: Home) -> dict[str, bytes]:
    """Every file that the user sees."""
    files = [path for path in home.directory.rglob("*") if path.is_file()]
    names = {path: path.relative_to(home.directory).as_posix() for path in files}
    return {name: path.read_bytes() for path, name in names.items() if not name.startswith(".minga/")}


def fetched(home: Home, content: bytes) -> Path:
    return home.write(".minga/partial/p", content)


def adopt(library: Library, partial: Path, name: str) -> str:
    manifest = hash_file(partial)
    library.adopt([(partial, name, manifest)])
    return manifest.id


@pytest.fixture(params=["at once", "in steps"])
def renaming(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both as a kernel with renameat2 does it and as one without."""
    if request.param == "in steps":

        def lacking(*_: object) -> None:
            raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

        monkeypatch.setattr(beneath, "rename", lacking)
    return str(request.param)


@pytest.mark.usefixtures("renaming")
def test_a_download_never_replaces_what_is_not_shared_yet(home: Home) -> None:
    library = home.open()
    home.write("a.txt", b"just saved")
    identity = adopt(library, fetched(home, b"fetched"), "a.txt")
    assert contents(home) == {"a.txt": b"just saved", f"a.{identity[:8]}.txt": b"fetched"}
    assert set(home.shelf.files) == {f"a.{identity[:8]}.txt"}


@pytest.mark.usefixtures("renaming")
def test_a_download_never_replaces_a_shared_file_that_was_edited(home: Home) -> None:
    library = home.open()
    shared, _ = library.put("log", io.BytesIO(b"line"), 4)
    with (home.directory / "log").open("ab") as log:
        log.write(b" and another")
    identity = adopt(library, fetched(home, b"line"), "log")
    assert identity == shared.id
    assert contents(home) == {"log": b"line and another", f"log.{identity[:8]}": b"line"}


@pytest.mark.usefixtures("renaming")
def test_a_download_of_what_is_here_changes_nothing(home: Home) -> None:
    library = home.open()
    library.put("a", io.BytesIO(b"same"), 4)
    before = (home.directory / "a").stat().st_ino
    partial = fetched(home, b"same")
    adopt(library, partial, "a")
    assert contents(home) == {"a": b"same"}
    assert (home.directory / "a").stat().st_ino == before
    assert not partial.exists()


def test_what_was_hashed_before_the_start_is_known_before_the_first_look(home: Home) -> None:
    home.open().put("a", io.BytesIO(b"same"), 4)
    adopt(home.open(), fetched(home, b"same"), "a")
    assert contents(home) == {"a": b"same"}


@pytest.mark.usefixtures("renaming")
def test_a_put_keeps_what_is_not_shared_yet_under_another_name(home: Home) -> None:
    library = home.open()
    home.write("x/a.txt", b"just saved")
    library.put("x/a.txt", io.BytesIO(b"put"), 3)
    found = contents(home)
    assert found.pop("x/a.txt") == b"put"
    ((kept, content),) = found.items()
    assert content == b"just saved"
    assert kept.startswith("x/a.kept-")
    assert kept.endswith(".txt")
    assert [name for name, _ in library.troubles.kept.first(9)] == [kept]


@pytest.mark.usefixtures("renaming")
def test_many_puts_keep_what_is_not_shared_yet(home: Home) -> None:
    library = home.open()
    home.write("a", b"just saved")
    library.put_many([("a", b"1"), ("b", b"2")])
    assert sorted(contents(home).values()) == [b"1", b"2", b"just saved"]


@pytest.mark.usefixtures("renaming")
def test_a_put_keeps_nothing_of_what_it_is_known_to_replace(home: Home) -> None:
    library = home.open()
    library.put("a", io.BytesIO(b"one"), 3)
    library.put("a", io.BytesIO(b"two"), 3)
    assert contents(home) == {"a": b"two"}
    assert not list((home.directory / ".minga" / "incoming").iterdir())


def test_what_is_saved_between_look_and_rename_is_kept(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    library = home.open()
    library.put("a", io.BytesIO(b"one"), 3)
    look = scan.look

    def look_and_save(*arguments: object) -> object:
        found = look(*arguments)  # type: ignore[arg-type]
        (home.directory / "a").unlink()
        home.write("a", b"just saved")
        return found

    monkeypatch.setattr(placing, "look", look_and_save)
    library.put("a", io.BytesIO(b"two"), 3)
    assert sorted(contents(home).values()) == [b"just saved", b"two"]


@pytest.mark.usefixtures("renaming")
def test_delete_does_not_remove_what_is_not_shared_yet(home: Home) -> None:
    library = home.open()
    library.put("a", io.BytesIO(b"one"), 3)
    home.write("a", b"just saved")
    with pytest.raises(Conflict, match="not shared yet"):
        library.delete("a")
    assert contents(home) == {"a": b"just saved"}


def test_delete_gives_back_what_was_saved_between_look_and_removal(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = home.open()
    library.put("a", io.BytesIO(b"one"), 3)
    rename_new = beneath.rename_new

    def save_and_rename(*arguments: object) -> None:
        monkeypatch.setattr(beneath, "rename_new", rename_new)
        (home.directory / "a").unlink()
        home.write("a", b"just saved")
        rename_new(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(beneath, "rename_new", save_and_rename)
    with pytest.raises(Conflict, match="at this moment"):
        library.delete("a")
    assert contents(home) == {"a": b"just saved"}


def test_a_precondition_is_judged_by_what_is_on_the_disk_when_it_counts(home: Home) -> None:
    library = home.open()
    first, _ = library.put("a", io.BytesIO(b"one"), 3)

    def must_be(identity: str) -> object:
        def judge(here: str | None) -> None:
            if here != identity:
                raise PreconditionFailed(f"it is {here!r}")

        return judge

    class Slow(io.BytesIO):
        """While it is read, another one is faster."""

        def read(self, size: int | None = -1, /) -> bytes:
            if self.tell() == 0:
                library.put("a", io.BytesIO(b"two"), 3)
            return super().read(size)

    with pytest.raises(PreconditionFailed):
        library.put("a", Slow(b"three"), 5, must_be(first.id))  # type: ignore[arg-type]
    assert contents(home) == {"a": b"two"}
    second = library.find("a")
    assert second is not None
    home.write("a", b"just saved")
    with pytest.raises(PreconditionFailed, match=repr(UNKNOWN)):
        library.put("a", io.BytesIO(b"three"), 5, must_be(second.id))  # type: ignore[arg-type]
    with pytest.raises(PreconditionFailed):
        library.delete("a", must_be(second.id))  # type: ignore[arg-type]
    assert contents(home) == {"a": b"just saved"}


def test_a_name_as_long_as_can_be_leaves_room_for_what_is_derived_of_it(home: Home) -> None:
    library = home.open()
    name = "ü" * 125 + ".text"
    assert len(name.encode()) == 255
    home.write(name, b"just saved")
    library.put(name, io.BytesIO(b"put"), 3)
    home.write(name, b"saved again")
    adopt(library, fetched(home, b"fetched"), name)
    found = contents(home)
    assert sorted(found.values()) == [b"fetched", b"just saved", b"saved again"]
    assert all(each.endswith(".text") and len(each.encode()) <= 255 for each in found)


def test_a_folder_that_became_a_link_leads_nowhere(home: Home, tmp_path: Path) -> None:
    library = home.open()
    library.put("x/a", io.BytesIO(b"one"), 3)
    outside = tmp_path / "outside"
    (home.directory / "x").rename(outside)
    (home.directory / "x").symlink_to(outside)
    with pytest.raises(InvalidName, match="x is a link"):
        library.put("x/a", io.BytesIO(b"two"), 3)
    _, refused = library.put_many([("x/b", b"two")])
    assert [name for name, _ in refused] == ["x/b"]
    with pytest.raises(InvalidName):
        adopt(library, fetched(home, b"three"), "x/c")
    library.delete("x/a")
    assert {path.name: path.read_bytes() for path in outside.iterdir()} == {"a": b"one"}


def test_a_file_and_a_folder_of_one_name_spoil_only_themselves(home: Home) -> None:
    library = home.open()
    taken, refused = library.put_many([("a", b"1"), ("a/b", b"2"), ("c", b"3")])
    assert {file.name for file in taken} == {"a", "c"}
    assert [name for name, _ in refused] == ["a/b"]
