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
