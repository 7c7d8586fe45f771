"""The directory with the tokens: what is refused, and what changes without a restart."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from minga_node import tokens as module
from minga_node.access import MOST, Scope
from minga_node.errors import ConfigError
from minga_node.tokens import TokenDirectory

OLD, NEW = "old-token-0123456789", "new-token-0123456789"


@pytest.fixture(autouse=True)
def _no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.0)


def mounted(directory: Path, generation: str, **files: str) -> None:
    """Writes the files as the kubelet does: a new folder, and one link that is turned over."""
    fresh = directory / f"..{generation}"
    fresh.mkdir(parents=True)
    for name, text in files.items():
        (fresh / name).write_text(text)
        if not (directory / name).is_symlink():
            (directory / name).symlink_to(f"..data/{name}")
    (directory / "..new").symlink_to(fresh.name)
    Path(directory / "..new").replace(directory / "..data")


def test_one_of_the_two_files_is_enough(tmp_path: Path) -> None:
    (tmp_path / "write").write_text(OLD)
    assert TokenDirectory(tmp_path).grants().scope(OLD) is Scope.WRITE


def test_a_mounted_secret_that_changes_counts_at_once(tmp_path: Path) -> None:
    mounted(tmp_path, "1", read=OLD, write=OLD + "w")
    directory = TokenDirectory(tmp_path)
    assert directory.grants().scope(OLD) is Scope.READ
    mounted(tmp_path, "2", read=NEW, write=NEW + "w")
    assert directory.grants().scope(OLD) is None
    assert directory.grants().scope(NEW + "w") is Scope.WRITE


def test_a_file_of_the_same_size_that_is_replaced_counts(tmp_path: Path) -> None:
    (tmp_path / "read").write_text(OLD)
    directory = TokenDirectory(tmp_path)
    (tmp_path / "fresh").write_text(NEW)
    (tmp_path / "fresh").replace(tmp_path / "read")
    assert directory.grants().scope(NEW) is Scope.READ
    assert directory.grants().scope(OLD) is None


@pytest.mark.parametrize("wrong", ["short", "", "# nothing\n", "with spaces in the middle of it"])
def test_a_change_that_is_no_use_is_logged_once_and_changes_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, wrong: str
) -> None:
    (tmp_path / "read").write_text(OLD)
    directory = TokenDirectory(tmp_path)
    (tmp_path / "read").write_text(wrong)
    with caplog.at_level(logging.ERROR):
        assert directory.grants().scope(OLD) is Scope.READ
        assert directory.grants().scope(OLD) is Scope.READ
    assert len(caplog.records) == 1
    assert "tokens_directory" in caplog.text
    assert OLD not in caplog.text
    (tmp_path / "read").write_text(NEW + "x")
    assert directory.grants().scope(NEW + "x") is Scope.READ


def test_it_is_not_looked_at_with_every_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOK_SECONDS", 3600.0)
    (tmp_path / "read").write_text(OLD)
    directory = TokenDirectory(tmp_path)
    (tmp_path / "read").write_text(NEW + "x")
    assert directory.grants().scope(OLD) is Scope.READ


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "expected tokens in its files read and write"),
        ({"read": "", "write": "# none"}, "expected tokens in its files read and write"),
        ({"token": OLD}, "expected tokens in its files read and write"),
        ({"read": OLD, "write": "short"}, "/write: line 1 has 5 characters"),
        ({"read": "\n".join(f"{n:020}" for n in range(MOST + 1))}, f"expected {MOST} at most"),
    ],
)
def test_a_directory_without_good_tokens_starts_no_node(
    tmp_path: Path, files: dict[str, str], message: str
) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(ConfigError) as caught:
        TokenDirectory(tmp_path)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert OLD not in str(caught.value)


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    (tmp_path / "read").mkdir()
    with pytest.raises(ConfigError, match=r"cannot read .*/read: Is a directory"):
        TokenDirectory(tmp_path)
    (tmp_path / "read").rmdir()
    (tmp_path / "read").write_bytes(b"\xff" * 30)
    with pytest.raises(ConfigError, match=r"/read is not UTF-8 text"):
        TokenDirectory(tmp_path)
