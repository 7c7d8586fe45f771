"""What somebody who uses ``minga`` for the first time meets, with real nodes, pipes and terminals."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.nodes import HTTP, Nodes, RunningNode, free_port
from tests.support.shell import Shell
from tests.waiting import PATIENCE, wait_for

pytestmark = pytest.mark.integration

LONG = "models/a-very-long-name-of-a-model-that-nobody-can-read-in-one-line/model-00017-of-00030.bin"


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RunningNode, RunningNode]]:
    nodes = Nodes(tmp_path_factory.mktemp("hour"))
    far = nodes.start("far", files={LONG: b"x" * 5000, "models/b.bin": b"b", "one.txt": b"1"}).ready()
    near = nodes.start("near", far).ready()
    wait_for(lambda: len(near.names()) == 3, "near knows everything")
    yield near, far
    nodes.stop()


@pytest.fixture
def minga(network: tuple[RunningNode, RunningNode], tmp_path: Path) -> Shell:
    return Shell(tmp_path, network[0].url)


def start_on_terminal(minga: Shell, width: int, *arguments: str) -> tuple[subprocess.Popen[bytes], int]:
    """A run on a terminal of that width, and our end of it."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, width, 0, 0))
    hidden = {"COLUMNS", "LINES", "NO_COLOR"}
    process = subprocess.Popen(
        [sys.executable, "-m", "minga_node.cli", *arguments],
        env={key: value for key, value in minga.environment.items() if key not in hidden} | {"TERM": "xterm"},
        cwd=minga.home,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    return process, ours


def on_terminal(minga: Shell, width: int, *arguments: str, typed: bytes = b"") -> tuple[int, str]:
    """Exit code and output of a run on a terminal, where somebody types this."""
    process, ours = start_on_terminal(minga, width, *arguments)
    os.write(ours, typed)
    said = b""
    with contextlib.suppress(OSError):  # the other end is closed
        while chunk := os.read(ours, 4096):
            said += chunk
    os.close(ours)
    return process.wait(PATIENCE), re.sub("\x1b\\[[0-9;?]*[a-zA-Z]", "", said.decode())


@pytest.mark.parametrize("width", [60, 80, 120])
def test_ls_fits_a_terminal(minga: Shell, width: int) -> None:
    code, said = on_terminal(minga, width, "ls")
    assert code == 0
    lines = said.splitlines()
    assert len(lines) == 4
    assert all(len(line) <= width for line in lines)
    (row,) = [line for line in lines if line.startswith("models/a")]
    assert "4.9 KiB" in row
    assert "030.bin" in row
    assert row.rstrip().endswith("far")


def test_wide_and_pipes_have_all_of_it(minga: Shell) -> None:
    assert LONG in minga("ls")
    assert LONG in on_terminal(minga, 80, "ls", "-o", "wide")[1].replace("\r\n", "")


def test_options_of_minga_go_on_both_sides_and_yaml_says_the_same(minga: Shell) -> None:
    import yaml

    rows = minga.json("ls")
    assert json.loads(minga("ls", "--json")) == rows
    assert json.loads(minga("list", "-o", "json")) == rows
    assert yaml.safe_load(minga("ls", "-o", "yaml")) == rows


def test_the_nodes_of_peers_include_this_one(minga: Shell) -> None:
    assert [(peer["id"], peer["self"]) for peer in minga.json("peers")] == [("near", True), ("far", False)]


def test_a_context_is_used_for_one_command_and_beats_the_environment(
    minga: Shell, network: tuple[RunningNode, RunningNode]
) -> None:
    minga("context", "add", "other", network[1].url)
    assert minga.json("status")["id"] == "near", "the environment names it"
    assert json.loads(minga("--context", "other", "status", "--json"))["id"] == "far"
    assert json.loads(minga("status", "--node", network[1].url, "--json"))["id"] == "far"
    assert "no context nothing" in minga.run("ls", "--context", "nothing").stderr.decode()
    said = minga.run("ls", "--context", "other", "--node", "x").stderr.decode()
    assert "--node and --context name two nodes" in said


def test_a_host_that_there_is_not_is_told_from_a_port_where_nobody_listens(minga: Shell) -> None:
    nowhere = minga.run("ls", "--node", "http://no-such-host.invalid:5000")
    assert nowhere.returncode == 6
    assert b"no host of that name" in nowhere.stderr
    nobody = minga.run("ls", "--node", f"http://127.0.0.1:{free_port()}")
    assert nobody.returncode == 6
    assert b"nobody listens there" in nobody.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("put", "no-such"), "minga: no-such does not exist on this machine\n"),
        (("put", "one", "--as", "../one"), "minga: --as: a name must not have the part '..': '../one'\n"),
        (("rm", "../one"), "minga: a name must not have the part '..': '../one'\n"),
        (("put", "models"), "minga: models is a folder: put it with -r (see `minga put --help`)\n"),
    ],
)
def test_a_slip_is_one_line_of_ours(minga: Shell, arguments: tuple[str, ...], words: str) -> None:
    (minga.home / "one").write_bytes(b"1")
    (minga.home / "models").mkdir()
    ended = minga.run(*arguments)
    assert (ended.returncode, ended.stderr.decode()) == (2, words)


@pytest.mark.parametrize("command", [("events",), ("status", "--watch"), ("peers", "-w")])
def test_ctrl_c_ends_with_130(minga: Shell, command: tuple[str, ...]) -> None:
    process, ours = start_on_terminal(minga, 80, *command)

    def it_speaks() -> bool:
        # What `events` has to tell.
        HTTP.request("PUT", f"{minga.environment['MINGA_NODE']}/files/told.txt", body=os.urandom(8))
        return bool(select.select([ours], [], [], 0.5)[0])

    wait_for(it_speaks, "it shows something")
    process.send_signal(signal.SIGINT)
    said = b""
    with contextlib.suppress(OSError):  # the other end is closed
        while chunk := os.read(ours, 4096):
            said += chunk
    os.close(ours)
    assert process.wait(PATIENCE) == 130
    assert b"Traceback" not in said


def test_a_closed_pipe_ends_with_141_and_without_a_word(minga: Shell) -> None:
    command = f"{sys.executable} -m minga_node.cli ls -o json; echo $? >&3"
    read, write = os.pipe()
    process = subprocess.Popen(
        ["bash", "-c", f"exec 3>&{write}; ({command}) | true; exec 3>&-"],
        env=minga.environment,
        pass_fds=[write],
        stderr=subprocess.PIPE,
        cwd=minga.home,
    )
    os.close(write)
    with os.fdopen(read) as codes:
        assert codes.read().strip() == "141"
    assert process.communicate(timeout=PATIENCE)[1] == b""


def test_a_folder_named_without_r_is_explained(minga: Shell) -> None:
    for command, words in (
        ("get", "get it with -r"),
        ("info", "see `minga ls models/`"),
        ("rm", "name the files"),
    ):
        ended = minga.run(command, "models")
        assert ended.returncode == 2
        assert ended.stderr.decode().startswith(f"minga: models is a folder: {words}")
        assert len(ended.stderr.splitlines()) == 1


def test_any_beginning_of_an_id_will_do(minga: Shell) -> None:
    (row,) = minga.json("info", "one.txt")
    digits = row["id"][:12]
    assert minga.json("info", digits) == [row]
    minga("get", "--id", digits, "-o", "by-id.txt")
    assert (minga.home / "by-id.txt").read_bytes() == b"1"
    nothing = minga.run("get", "--id", "00000000")
    assert (nothing.returncode, nothing.stderr) == (
        3,
        b"minga: no content has an id that begins with 00000000\n",
    )
    assert minga.run("get", "--id", "xyz").returncode == 2


def test_an_id_that_begins_as_another_one_is_not_taken(nodes: Nodes, tmp_path: Path) -> None:
    """Of a few hundred ids, two begin with the same four digits."""
    node = nodes.start("many", files={f"f{number}": str(number).encode() for number in range(1500)}).ready()
    wait_for(lambda: node.get("/api/v1/network")["files"] == 1500, "all of them")
    minga = Shell(tmp_path, node.url)
    by_digits: dict[str, set[str]] = {}
    for row in minga.json("ls"):
        by_digits.setdefault(row["id"][:4], set()).add(row["id"])
    digits, two = next((digits, ids) for digits, ids in by_digits.items() if len(ids) > 1)
    ended = minga.run("info", digits)
    assert ended.returncode == 4
    assert f"several ids begin with {digits}" in ended.stderr.decode()
    assert all(each in ended.stderr.decode() for each in two)


def test_get_overwrites_another_file_only_if_told(minga: Shell) -> None:
    mine = minga.home / "one.txt"
    mine.write_bytes(b"mine")
    refused = minga.run("get", "one.txt")
    assert (refused.returncode, refused.stderr) == (
        1,
        b"minga: one.txt is another file: --force overwrites what is there\n",
    )
    code, said = on_terminal(minga, 80, "get", "one.txt", typed=b"n\n")
    assert code == 1
    assert "one.txt is another file: overwrite? [y/N]" in said
    assert mine.read_bytes() == b"mine"
    assert on_terminal(minga, 80, "get", "one.txt", typed=b"y\n")[0] == 0
    assert mine.read_bytes() == b"1"
    mine.write_bytes(b"2")
    minga("get", "one.txt", "--force")
    assert mine.read_bytes() == b"1"
    assert "there already" in minga("get", "-r", "models", "-o", "all/") + minga(
        "get", "-r", "models", "-o", "all/"
    )
    (minga.home / "all/b.bin").write_bytes(b"changed")
    assert b"all/b.bin is another file" in minga.run("get", "-r", "models", "-o", "all/").stderr
    identity = minga.json("info", "models/b.bin")[0]["id"]
    assert b"--force" in minga.run("get", "--id", identity, "-o", "all/b.bin").stderr
    assert (minga.home / "all/b.bin").read_bytes() == b"changed"


def test_put_replaces_another_content_only_if_told(
    minga: Shell, network: tuple[RunningNode, RunningNode]
) -> None:
    near, _ = network
    mine = minga.home / "mine.txt"
    mine.write_bytes(b"first")
    minga("put", "mine.txt")
    minga("put", "mine.txt")
    mine.write_bytes(b"other")
    refused = minga.run("put", "mine.txt")
    assert (refused.returncode, refused.stderr) == (
        1,
        b"minga: near has another content named mine.txt: --force replaces what is there\n",
    )
    assert on_terminal(minga, 80, "put", "mine.txt", typed=b"n\n")[0] == 1
    assert near.request("GET", "/files/mine.txt").data == b"first"
    assert on_terminal(minga, 80, "put", "mine.txt", typed=b"y\n")[0] == 0
    assert near.request("GET", "/files/mine.txt").data == b"other"
    minga("put", "-", "--as", "mine.txt", "--force", stdin=b"third")
    assert near.request("GET", "/files/mine.txt").data == b"third"
    (minga.home / "many").mkdir()
    for number in range(30):
        (minga.home / f"many/{number}").write_bytes(b"x")
    minga("put", "-r", "many")
    (minga.home / "many/7").write_bytes(b"y")
    assert b"another content named many/7: --force" in minga.run("put", "-r", "many").stderr
    minga("put", "-r", "many", "--force")
    assert near.request("GET", "/files/many/7").data == b"y"


def test_rm_says_what_it_does_not_do(minga: Shell, network: tuple[RunningNode, RunningNode]) -> None:
    near, _ = network
    minga("get", "models/b.bin", "-o", "b")
    wait_for(
        lambda: len(near.get("/api/v1/files?name=models/b.bin")["files"][0]["holders"]) == 2, "both have it"
    )
    assert minga("rm", "models/b.bin") == "models/b.bin removed from near; 1 other node keeps its copy\n"
    assert (minga.home / "b").exists()
    refused = minga.run("rm", "models/b.bin", "--everywhere")
    assert refused.returncode == 3
    assert refused.stderr == b"minga: near has no copy of models/b.bin: ask one that has it (far)\n"
