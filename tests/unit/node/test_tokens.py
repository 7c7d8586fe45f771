"""The directory with the tokens: what is refused, and what changes without a restart."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from minga_node import tokens as module
from minga_node.access import MOST_TOKENS, AccessSession
from minga_node.errors import ConfigError
from minga_node.grants import Grant, Scope
from minga_node.token_files import grant_line, new_token
from minga_node.tokens import TokenDirectory

OLD, NEW = "old-token-0123456789", "new-token-0123456789"


@pytest.fixture(autouse=True)
def _no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.0)


NOW = 1_700_000_000


def scope(directory: TokenDirectory, token: str) -> Scope | None:
    found = directory.known().grant(token, NOW)
    return found.scope if found else None


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
    assert scope(TokenDirectory(tmp_path), OLD) is Scope.WRITE


def test_a_mounted_secret_that_changes_counts_at_once(tmp_path: Path) -> None:
    mounted(tmp_path, "1", read=OLD, write=OLD + "w")
    directory = TokenDirectory(tmp_path)
    assert scope(directory, OLD) is Scope.READ
    mounted(tmp_path, "2", read=NEW, write=NEW + "w")
    assert scope(directory, OLD) is None
    assert scope(directory, NEW + "w") is Scope.WRITE


def test_a_file_of_the_same_size_that_is_replaced_counts(tmp_path: Path) -> None:
    (tmp_path / "read").write_text(OLD)
    directory = TokenDirectory(tmp_path)
    (tmp_path / "fresh").write_text(NEW)
    (tmp_path / "fresh").replace(tmp_path / "read")
    assert scope(directory, NEW) is Scope.READ
    assert scope(directory, OLD) is None


@pytest.mark.parametrize("wrong", ["short", "", "# nothing\n", "with spaces in the middle of it"])
def test_a_change_that_is_no_use_is_logged_once_and_changes_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, wrong: str
) -> None:
    (tmp_path / "read").write_text(OLD)
    directory = TokenDirectory(tmp_path)
    (tmp_path / "read").write_text(wrong)
    with caplog.at_level(logging.ERROR):
        assert scope(directory, OLD) is Scope.READ
        assert scope(directory, OLD) is Scope.READ
    assert len(caplog.records) == 1
    assert "tokens_directory" in caplog.text
    assert OLD not in caplog.text
    (tmp_path / "read").write_text(NEW + "x")
    assert scope(directory, NEW + "x") is Scope.READ


def test_it_is_not_looked_at_with_every_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOK_SECONDS", 3600.0)
    (tmp_path / "read").write_text(OLD)
    directory = TokenDirectory(tmp_path)
    (tmp_path / "read").write_text(NEW + "x")
    assert scope(directory, OLD) is Scope.READ


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "expected tokens in its files read and write"),
        ({"read": "", "write": "# none"}, "expected tokens in its files read and write"),
        ({"token": OLD}, "expected tokens in its files read and write"),
        ({"read": OLD, "write": "short"}, "/write: line 1 has 5 characters"),
        ({"read": "\n".join(f"{n:020}" for n in range(MOST_TOKENS + 1))}, f"expected {MOST_TOKENS} at most"),
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


def test_grants_count_beside_the_two_files_and_alone(tmp_path: Path) -> None:
    token = new_token()
    grant = Grant(Scope.WRITE, ("team-a/",), NOW + 60, "0123abcd")
    (tmp_path / "grants").write_text(grant_line(token, grant) + "\n")
    alone = TokenDirectory(tmp_path)
    assert alone.known().grant(token, NOW) == grant
    assert alone.known().grant(token, NOW + 60) is None
    (tmp_path / "read").write_text(OLD)
    both = TokenDirectory(tmp_path)
    assert both.known().grant(token, NOW) == grant
    assert scope(both, OLD) is Scope.READ


def test_the_last_grant_can_be_revoked(tmp_path: Path) -> None:
    token = new_token()
    (tmp_path / "grants").write_text(grant_line(token, Grant(Scope.READ, id="0123abcd")))
    directory = TokenDirectory(tmp_path)
    assert scope(directory, token) is Scope.READ
    (tmp_path / "grants").write_text("")
    assert scope(directory, token) is None


def test_a_grant_that_is_not_understood_changes_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "read").write_text(OLD)
    directory = TokenDirectory(tmp_path)
    (tmp_path / "grants").write_text('{"id": "0123abcd"}')
    with caplog.at_level(logging.ERROR):
        assert scope(directory, OLD) is Scope.READ
    assert "grants: line 1: scope: expected" in caplog.text


def test_a_session_that_was_signed_out_is_over_here(tmp_path: Path) -> None:
    (tmp_path / "read").write_text(OLD)
    directory = TokenDirectory(tmp_path)
    first, second = (directory.known().sign_in(OLD, NOW, bytes([n] * 8)) for n in range(2))
    assert first is not None
    assert second is not None
    assert directory.session(first[1], NOW) == AccessSession(Grant(Scope.READ), first[0].until)
    directory.sign_out(first[1], NOW)
    assert directory.session(first[1], NOW) is None
    assert directory.session(second[1], NOW) is not None
    directory.sign_out("no session", NOW)
