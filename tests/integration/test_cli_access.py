"""The command ``minga`` against a real node that asks for tokens."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.nodes import Nodes, RunningNode
from tests.support.shell import Shell
from tests.waiting import wait_for

pytestmark = pytest.mark.integration

READ, WRITE, WRONG = "read-token-0123456789", "write-token-0123456789", "wrong-token-0123456789"
CONTENT = os.urandom(200_000)
FILES = {"big.bin": CONTENT, "notes/1.txt": b"1", "notes/2.txt": b"2"}


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNode]:
    base = tmp_path_factory.mktemp("cli-access")
    tokens = base / "tokens"
    tokens.mkdir()
    (tokens / "read").write_text(READ)
    (tokens / "write").write_text(WRITE)
    nodes = Nodes(base)
    yield nodes.start("one", files=FILES, tokens_directory=str(tokens)).ready()
    nodes.stop()


@pytest.fixture
def minga(node: RunningNode, tmp_path: Path) -> Shell:
    shell = Shell(tmp_path, node.url)
    (tmp_path / "read").write_text(f"# mine\n{READ}\n")
    (tmp_path / "write").write_text(WRITE)
    wait_for(lambda: "big.bin" in shell("--token-file", "read", "ls"), "the library")
    return shell


def refusal(minga: Shell, *arguments: str, code: int = 7) -> str:
    """The one line of a command that is refused."""
    ended = minga.run(*arguments)
    assert ended.returncode == code, (ended.stdout, ended.stderr)
    (line,) = ended.stderr.decode().strip().splitlines()
    for token in (READ, WRITE, WRONG):
        assert token not in line
    return line


def test_without_a_token_one_line_says_what_to_do(minga: Shell, node: RunningNode) -> None:
    expected = f"minga: {node.url} answers only who has a token: set MINGA_TOKEN or give --token-file FILE"
    assert refusal(minga, "ls") == expected
    (minga.home / "new.txt").write_bytes(b"new")
    assert refusal(minga, "put", "new.txt") == expected
    assert refusal(minga, "get", "big.bin") == expected
    assert refusal(minga, "get", "-r", "notes/") == expected
    assert refusal(minga, "events") == expected


def test_a_wrong_token_and_a_weak_one_are_told_apart(minga: Shell) -> None:
    assert "does not take this token" in refusal(minga, "--token", WRONG, "ls")
    (minga.home / "new.txt").write_bytes(b"new")
    for command in (("put", "new.txt"), ("rm", "big.bin"), ("want", "x.txt")):
        assert "a write token is needed" in refusal(minga, "--token-file", "read", *command)


def test_a_large_upload_that_is_refused_says_why(minga: Shell) -> None:
    with (minga.home / "large.bin").open("wb") as file:
        file.truncate(64 << 20)
    assert "a write token is needed" in refusal(minga, "--token", READ, "put", "large.bin")
    assert "answers only who has a token" in refusal(minga, "put", "large.bin")


def test_each_way_to_give_a_token(minga: Shell) -> None:
    assert "big.bin" in minga("--token", READ, "ls")
    assert "big.bin" in minga("--token-file", "-", "ls", stdin=READ.encode())
    minga.environment["MINGA_TOKEN"] = READ
    assert "big.bin" in minga("ls")
    minga.environment["MINGA_TOKEN"] = WRONG
    assert "big.bin" in minga("--token-file", "read", "ls"), "what is said now wins"
    minga("--token", READ, "--token-file", "read", "ls", expect=2)


@pytest.mark.parametrize(
    ("text", "words"),
    [("", "holds no token"), ("# none\n", "holds no token"), ("short", "line 1 has 5 characters")],
)
def test_a_file_without_a_token_is_named(minga: Shell, text: str, words: str) -> None:
    (minga.home / "file").write_text(text)
    assert words in refusal(minga, "--token-file", "file", "ls", code=2)
    assert "no-such-file" in refusal(minga, "--token-file", "no-such-file", "ls", code=1)


def test_a_read_token_is_enough_to_fetch(minga: Shell) -> None:
    minga("--token-file", "read", "get", "big.bin", "-o", "copy.bin")
    assert (minga.home / "copy.bin").read_bytes() == CONTENT
    minga("--token-file", "read", "get", "-r", "notes/", "-o", "here/")
    assert {path.name for path in (minga.home / "here").iterdir()} == {"1.txt", "2.txt"}


def test_with_a_write_token_everything_goes(minga: Shell, node: RunningNode) -> None:
    (minga.home / "new.txt").write_bytes(b"new")
    minga("--token-file", "write", "put", "new.txt")
    minga("--token-file", "write", "get", "big.bin", "-o", "copy.bin")
    assert (minga.home / "copy.bin").read_bytes() == CONTENT
    minga("--token-file", "write", "rm", "new.txt")
    assert not (node.directory / "new.txt").exists()


def test_a_context_keeps_its_token_and_gives_it_to_its_node_alone(minga: Shell, node: RunningNode) -> None:
    del minga.environment["MINGA_NODE"]
    minga("context", "add", "lab", node.url, "--token-file", "read")
    assert "big.bin" in minga("ls")
    saved = minga.home / "config" / "minga" / "contexts.json"
    assert stat.S_IMODE(saved.stat().st_mode) == 0o600
    assert READ in saved.read_text()
    assert READ not in minga("context", "ls") + minga("--json", "context", "ls")
    assert minga.json("context", "ls")["with_token"] == ["lab"]
    # The same node, but named: it might be another's.
    assert "answers only who has a token" in refusal(minga, "--node", node.url, "ls")
    minga("context", "add", "lab", node.url)
    assert READ not in saved.read_text()
    assert "answers only who has a token" in refusal(minga, "ls")


def test_the_doctor_says_what_the_token_may(minga: Shell) -> None:
    assert "the token may read" in minga("--token-file", "read", "doctor")
    assert "WRONG access" in minga("doctor", expect=1)


def test_names_are_completed_with_the_token_of_the_environment(minga: Shell) -> None:
    minga.environment |= {
        "MINGA_TOKEN": READ,
        "_MINGA_COMPLETE": "bash_complete",
        "COMP_WORDS": "minga get bi",
        "COMP_CWORD": "2",
    }
    assert "big.bin" in minga()
