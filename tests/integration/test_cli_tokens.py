"""``minga token``: made here, good at a real node, and ended again."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.nodes import Nodes, RunningNode
from tests.support.shell import Shell
from tests.waiting import wait_for

pytestmark = pytest.mark.integration

WRITE = "write-token-0123456789"
FILES = {"team-a/1.txt": b"1", "team-b/2.txt": b"2"}


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNode]:
    base = tmp_path_factory.mktemp("cli-tokens")
    tokens = base / "tokens"
    tokens.mkdir()
    (tokens / "write").write_text(WRITE)
    nodes = Nodes(base)
    node = nodes.start("one", files=FILES, tokens_directory=str(tokens)).ready()
    shell = Shell(base, node.url)
    wait_for(lambda: "team-b/2.txt" in shell("--token", WRITE, "ls"), "the library")
    yield node
    nodes.stop()


@pytest.fixture
def minga(node: RunningNode, tmp_path: Path) -> Shell:
    return Shell(tmp_path, node.url)


@pytest.fixture
def tokens(node: RunningNode) -> str:
    return str(node.config["tokens_directory"])


def listed(minga: Shell, tokens: str) -> dict[str, dict[str, object]]:
    found = json.loads(minga("--json", "token", "list", "--directory", tokens))["tokens"]
    return {each["id"]: each for each in found}


def test_a_token_is_good_for_its_names_until_it_is_revoked(minga: Shell, tokens: str) -> None:
    ended = minga.run("token", "create", "--directory", tokens, "--prefix", "team-a/", "--ttl", "1h")
    token, said = ended.stdout.decode().strip(), ended.stderr.decode()
    assert ended.returncode == 0
    assert len(token) >= 40
    identity = said.split()[2]
    assert f"the token {identity} may read names that begin with team-a/, until " in said
    path = Path(tokens) / "grants"
    assert token not in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    wait_for(lambda: minga.run("--token", token, "ls").returncode == 0, "the node knows it", 10)
    assert "team-a/1.txt" in minga("--token", token, "ls")
    assert "team-b" not in minga("--token", token, "ls")
    assert minga.run("--token", token, "get", "team-b/2.txt").returncode == 3
    assert minga.run("--token", token, "rm", "team-a/1.txt").returncode == 7
    row = listed(minga, tokens)[identity]
    assert (row["scope"], row["prefixes"], row["note"]) == ("read", ["team-a/"], "")
    minga("token", "revoke", "--directory", tokens, identity)
    assert identity not in listed(minga, tokens)
    wait_for(lambda: minga.run("--token", token, "ls").returncode == 7, "the node knows it no more", 10)


def test_json_has_the_token_once(minga: Shell, tokens: str) -> None:
    made = json.loads(
        minga("--json", "token", "create", "--directory", tokens, "--write", "--note", "nightly")
    )
    assert {"id", "scope", "prefixes", "expires", "note", "token"} == made.keys()
    assert (made["scope"], made["expires"], made["note"]) == ("write", None, "nightly")
    row = listed(minga, tokens)[made["id"]]
    assert "token" not in row
    assert made["id"] in minga("token", "list", "--directory", tokens)


def test_tokens_made_at_once_are_all_kept(minga: Shell, tokens: str) -> None:
    before = set(listed(minga, tokens))

    def make(number: int) -> str:
        made = minga("--json", "token", "create", "--directory", tokens, "--note", str(number))
        return str(json.loads(made)["id"])

    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(make, range(8)))
    assert set(listed(minga, tokens)) - before == set(made)
    minga("token", "revoke", "--directory", tokens, *made)
    assert set(listed(minga, tokens)) == before


@pytest.mark.parametrize(
    ("arguments", "code", "line"),
    [
        (["list"], 2, "say whose tokens: --directory DIR, or --kube NETWORK"),
        (["create", "--directory", "{tokens}", "--prefix", "/etc"], 2, "no name begins with '/etc'"),
        (["create", "--directory", "{tokens}", "--prefix", ""], 2, "expected how names begin"),
        (["create", "--directory", "{tokens}", "--ttl", "soon"], 2, "'soon' is no duration"),
        (["create", "--directory", "{tokens}", "--ttl", "0d"], 2, "'0d' is no duration"),
        (["create", "--directory", "{tokens}", "--note", "x" * 201], 2, "at most 200 characters"),
        (["create", "--directory", "no-such-directory"], 1, "is no directory of tokens"),
        (["revoke", "--directory", "{tokens}", "00000000"], 3, "no tokens begin with 00000000"),
    ],
)
def test_a_mistake_is_one_line_and_changes_nothing(
    minga: Shell, tokens: str, arguments: list[str], code: int, line: str
) -> None:
    before = listed(minga, tokens)
    ended = minga.run("token", *(each.format(tokens=tokens) for each in arguments))
    assert ended.returncode == code, ended.stderr
    (said,) = ended.stderr.decode().strip().splitlines()
    assert line in said
    assert listed(minga, tokens) == before


def test_a_damaged_file_is_named_and_left_as_it_is(minga: Shell, tmp_path: Path) -> None:
    (tmp_path / "grants").write_text('{"id": "0123abcd"}\n')
    for arguments in (["list"], ["create"], ["revoke", "0123abcd"]):
        ended = minga.run("token", *arguments, "--directory", str(tmp_path))
        assert ended.returncode == 1
        assert "the file of grants is damaged: line 1: scope: expected" in ended.stderr.decode()
    assert (tmp_path / "grants").read_text() == '{"id": "0123abcd"}\n'
