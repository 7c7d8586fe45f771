"""What an entry's media type says besides."""

from __future__ import annotations

from pathlib import Path

import pytest

from minga_node.index import Delta, Entry, Index, Query
from minga_node.index.media import decoded, encoded, forms
from minga_node.model import Attributes, LocalFile
from minga_node.store import Store

ID = "ab" * 32


@pytest.mark.parametrize("executable", [True, False])
@pytest.mark.parametrize("media_type", ["text/plain", "application/octet-stream", ""])
def test_what_is_said_comes_back(media_type: str, executable: bool) -> None:
    assert decoded(encoded(media_type, executable)) == (media_type, executable)
    assert encoded(media_type, executable) in forms(media_type)


def local(name: str, executable: bool) -> LocalFile:
    return LocalFile(name, ID, 10, "text/x-sh", 5_000, executable=executable)


def test_the_index_keeps_it_apart_from_the_media_type(tmp_path: Path) -> None:
    store = Store(tmp_path / "s.db")
    index = Index(store, "me")
    try:
        assert index.publish([local("run.sh", True), local("read.sh", False)]) == 2
        assert index.publish([local("run.sh", True), local("read.sh", False)]) == 0
        assert index.local() == {"run.sh": local("run.sh", True), "read.sh": local("read.sh", False)}
        found = {row.name: row for row in index.search(Query(media_type="text/x-sh")).rows}
        assert {name: row.executable for name, row in found.items()} == {"run.sh": True, "read.sh": False}
        assert {row.media_type for row in found.values()} == {"text/x-sh"}
        assert len(index.search(Query(media_type="text/*")).rows) == 2
        assert index.attributes("run.sh", ID) == Attributes(5.0, True)
        assert index.attributes("read.sh", ID) == Attributes(5.0, False)
        assert index.attributes("no-such", ID).modified == 5.0
        assert index.attributes("run.sh", "0" * 64) == Attributes()
    finally:
        index.close()
        store.close()


def test_each_holder_says_it_for_itself(tmp_path: Path) -> None:
    """Another's word of a file is not mistaken for the own one, which would be told again and again."""
    store = Store(tmp_path / "s.db")
    index = Index(store, "me")
    try:
        entry = Entry(1, "run.sh", bytes.fromhex(ID), 10, "text/x-sh;executable=1", 5_000, True)
        index.apply(Delta("other", 1, 0, 1, False, 0, [entry]))
        assert index.publish([local("run.sh", False)]) == 1
        assert index.publish([local("run.sh", False)]) == 0
        assert index.local()["run.sh"].executable is False
        assert index.attributes("run.sh", ID).executable is True
        assert index.publish([local("run.sh", True)]) == 1
        assert index.local()["run.sh"].executable is True
        assert index.publish([local("run.sh", False)]) == 1
        index.forget("other")
        assert index.attributes("run.sh", ID).executable is False
        assert index.publish([local("run.sh", True)]) == 1
        assert index.attributes("run.sh", ID).executable is True
        assert index.publish([local("run.sh", True)]) == 0
    finally:
        index.close()
        store.close()
