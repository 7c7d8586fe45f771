"""When the library takes a file for one that it has hashed, and when not."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest

from minga_node.errors import NotFound
from minga_node.library.hashes import SCHEMA, KnownHash, judge
from minga_node.library.scan import Signature
from minga_node.manifest import hash_file
from minga_node.store import Store
from tests.support.home import Home
from tests.waiting import wait_for

FINE = 1_700_000_000_123_456_789
WHOLE = 1_700_000_000_000_000_000


def signature(device: int = 1, ctime_ns: int = FINE) -> Signature:
    return Signature(device, 10, 100, WHOLE, ctime_ns)


@pytest.mark.parametrize(
    ("rows", "found", "known"),
    [
        ([(FINE, 1, "a")], signature(), KnownHash("a", certain=True)),
        ([(FINE, 1, "a"), (FINE, 2, "b")], signature(2), KnownHash("b", certain=True)),
        ([(FINE + 1, 1, "a")], signature(), None),
        # Of another volume that is here now.
        ([(FINE, 2, "b")], signature(), None),
        # Of a device that is not here any more: then this one's number has changed.
        ([(FINE, 7, "a")], signature(), KnownHash("a", certain=True)),
        ([(FINE, 0, "a")], signature(), KnownHash("a", certain=True)),
        ([(FINE, 7, "a"), (FINE, 8, "b")], signature(), None),
        ([(WHOLE, 7, "a")], signature(ctime_ns=WHOLE), KnownHash("a", certain=False)),
        # Hashed by an earlier release.
        ([(0, 0, "a")], signature(), KnownHash("a", certain=False)),
        ([(0, 0, "a"), (FINE, 1, "b")], signature(), KnownHash("b", certain=True)),
    ],
)
def test_an_id_is_known_by_all_that_the_system_tells(
    rows: list[tuple[int, int, str]], found: Signature, known: KnownHash | None
) -> None:
    assert judge(rows, found, {1, 2}) == known


def test_an_older_version_with_the_same_times_is_noticed(home: Home) -> None:
    """As of an archive that is unpacked over the one before: same size, same time of modification."""
    path = home.write("a", b"version 1")
    os.utime(path, ns=(WHOLE, WHOLE))
    home.watch()
    wait_for(home.shared("a"), "the first version")
    first = home.shelf.files["a"].id
    path.write_bytes(b"version 2")
    os.utime(path, ns=(WHOLE, WHOLE))
    wait_for(lambda: home.shelf.files["a"].id != first, "the second version")
    assert home.shelf.files["a"].id == hash_file(path).id


def test_it_is_noticed_also_by_a_restart_and_not_served_before(home: Home) -> None:
    path = home.write("a", b"version 1")
    os.utime(path, ns=(WHOLE, WHOLE))
    library = home.watch()
    wait_for(home.shared("a"), "the first version")
    first = home.shelf.files["a"].id
    home.close()
    path.write_bytes(b"version 2")
    os.utime(path, ns=(WHOLE, WHOLE))
    with pytest.raises(NotFound):
        library.open("a")
    home.watch()
    wait_for(lambda: home.shelf.files["a"].id != first, "the second version")


def test_a_new_file_with_the_number_of_one_that_went_is_hashed(home: Home) -> None:
    """Also under another name, where a rename would explain all but its birth."""
    home.quiet = 0.0
    old = home.write("old", b"version 1")
    os.utime(old, ns=(WHOLE, WHOLE))
    home.watch()
    wait_for(home.shared("old"), "the first version")
    number = old.stat().st_ino
    old.unlink()
    for attempt in range(1000):
        new = home.write(".new", b"version 2")
        if new.stat().st_ino == number:
            break
        new.rename(home.directory / f".{attempt}")
    else:
        pytest.skip("this file system gives no number twice")
    os.utime(new, ns=(WHOLE, WHOLE))
    new.rename(home.directory / "new")
    wait_for(home.shared("new"), "the second version")
    assert home.shelf.files["new"].id == hash_file(home.directory / "new").id


def test_the_numbers_of_devices_are_not_believed_after_a_boot(home: Home, tmp_path: Path) -> None:
    home.open()
    both = [(signature(1), "aa"), (signature(2), "bb")]
    alone = Signature(3, 11, 5, WHOLE, FINE)
    home.hashes.put([*both, (alone, "cc")])
    home.boot = "another"
    home.open()
    assert home.hashes.get(signature(1)) is None, "the two may have changed places"
    assert home.hashes.get(Signature(9, 11, 5, WHOLE, FINE)) == KnownHash("cc", certain=True)


def test_what_an_earlier_release_hashed_is_shared_at_once_and_hashed_when_there_is_time(home: Home) -> None:
    good, bad = home.write("good", b"as it was"), home.write("bad", b"as it is!")
    was = home.write(".was", b"as it was")
    store = Store(home.state)
    store.migrate("library", SCHEMA[:1])
    with store.write() as db:
        for path in (good, bad):
            status = path.stat()
            row = (status.st_ino, status.st_size, status.st_mtime_ns, hash_file(was).id)
            db.execute("INSERT INTO hash VALUES (?, ?, ?, ?)", row)
    store.close()
    library = home.open()
    library._manifests.put(hash_file(was))
    home.watch()
    wait_for(lambda: {"good", "bad"} <= set(home.shelf.files), "both, at once")
    wait_for(lambda: home.shelf.files["bad"].id == hash_file(bad).id, "the truth about one")
    wait_for(lambda: sorted(home.hashed) == ["bad", "good"], "each hashed once")
    home.close()
    home.hashed.clear()
    home.watch()
    assert home.watcher is not None
    assert home.watcher.wait_settled(10)
    assert home.hashed == [], "and kept from then on"
    rows = sqlite3.connect(home.state).execute("SELECT count(*) FROM hashed WHERE ctime_ns = 0").fetchone()
    assert rows == (0,)


def test_a_change_of_rights_alone_is_looked_into(home: Home) -> None:
    """It sets the time of change, as writing does and then setting back the time of modification."""
    path = home.write("a")
    home.watch(rescan=0.1)
    wait_for(home.shared("a"), "the file")
    path.chmod(0o600)
    wait_for(lambda: home.shelf.log == ["+a", "+a"], "another look")
    assert home.hashed == ["a", "a"]
