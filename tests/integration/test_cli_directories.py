"""The command line and the user's own files: what is taken, what is not and why, and how it is written."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import unicodedata
from pathlib import Path

import pytest

from minga_node.cli.client import Client
from tests.nodes import Nodes, RunningNode
from tests.support.shell import Shell
from tests.waiting import wait_for

pytestmark = pytest.mark.integration


@pytest.fixture
def node(nodes: Nodes) -> RunningNode:
    return nodes.start("node").ready()


@pytest.fixture
def minga(node: RunningNode, tmp_path: Path) -> Shell:
    home = tmp_path / "home"
    home.mkdir()
    return Shell(home, node.url)


def test_a_name_comes_before_what_it_would_mean_as_a_glob(node: RunningNode, minga: Shell) -> None:
    node.put("a%5B1%5D.txt", b"the one")
    node.put("a1.txt", b"another")
    minga("get", "a[1].txt", "-o", "got")
    assert (minga.home / "got").read_bytes() == b"the one"


def test_another_unicode_form_of_a_name_is_taken_and_told(node: RunningNode, minga: Shell) -> None:
    composed = "Käse.txt"
    decomposed = unicodedata.normalize("NFD", composed)
    (node.directory / decomposed).write_bytes(b"cheese")
    wait_for(lambda: node.names() == {decomposed}, "it is shared")
    ended = minga.run("get", composed, "-o", "got")
    assert ended.returncode == 0, ended.stderr
    assert b"another Unicode form" in ended.stderr
    assert (minga.home / "got").read_bytes() == b"cheese"


@pytest.mark.parametrize("quiet", [(), ("-q",)])
def test_a_get_that_nobody_can_serve_says_so_and_ends(
    nodes: Nodes, node: RunningNode, minga: Shell, quiet: tuple[str, ...]
) -> None:
    far = nodes.start("far", node, files={"only.bin": os.urandom(100_000)}).ready()
    wait_for(lambda: "only.bin" in node.names(), "it is known")
    far.kill()
    began = time.monotonic()
    ended = minga.run(*quiet, "get", "only.bin", "--timeout", "4", "-o", "got")
    assert ended.returncode == 5
    assert time.monotonic() - began < 60
    assert b"for 4 s (--timeout)" in ended.stderr, ended.stderr
    if not quiet:
        assert b"waiting 4 s for one" in ended.stderr


def test_put_goes_on_after_what_it_cannot_take_and_lists_it(node: RunningNode, minga: Shell) -> None:
    folder = minga.home / "many"
    (folder / "sub").mkdir(parents=True)
    for name in ("a", "b", "sub/c"):
        (folder / name).write_bytes(name.encode())
    (folder / "big").write_bytes(os.urandom(200_000))
    (folder / "taken").write_bytes(os.urandom(200_000))
    (node.directory / "many" / "taken").mkdir(parents=True)
    os.mkfifo(folder / "pipe")
    (folder / "broken").symlink_to("nowhere")
    (folder / "dirlink").symlink_to("sub")
    (folder / "link").symlink_to("a")
    (folder / "back\\slash").write_bytes(b"x")
    (folder / "line\nbreak").write_bytes(b"x")
    (folder / os.fsdecode(b"bad\xff")).write_bytes(b"x")
    ended = minga.run("put", "-r", "many")
    assert ended.returncode == 1
    assert node.names() == {"many/a", "many/b", "many/sub/c", "many/big", "many/link"}
    assert b"Traceback" not in ended.stderr
    told = ended.stderr.decode()
    for part in (
        "many/pipe: no regular file",
        "many/broken: a link that leads nowhere",
        "many/dirlink: a link to a folder",
        "many/taken",
        "backslashes",
        "control characters",
        "UTF-8",
    ):
        assert part in told, (part, told)


def test_a_pipe_or_device_is_written_into_and_stays(node: RunningNode, minga: Shell) -> None:
    node.put("a", b"content")
    pipe = minga.home / "pipe"
    os.mkfifo(pipe)
    with subprocess.Popen(["cat", str(pipe)], stdout=subprocess.PIPE) as reading:
        minga("get", "a", "-o", "pipe")
        assert reading.communicate(timeout=60)[0] == b"content"
    assert pipe.is_fifo()
    minga("get", "a", "-o", "/dev/null")
    assert Path("/dev/null").is_char_device()


def test_what_is_fetched_has_the_usual_rights_and_the_time_of_its_source(
    nodes: Nodes, node: RunningNode, minga: Shell
) -> None:
    far = nodes.start("far", node, files={"big": os.urandom(300_000), "many/1": b"1", "many/2": b"2"})
    for name in ("big", "many/1", "many/2"):
        os.utime(far.directory / name, (1_600_000_000, 1_600_000_000))
    far.ready()
    wait_for(lambda: len(node.names()) == 3, "they are known")
    minga("get", "big", "-o", "got/")
    minga("get", "-r", "many", "-o", "got/")
    usual = 0o666 & ~current_umask()
    for path in (
        *(node.directory / name for name in ("big", "many/1", "many/2")),
        *(minga.home / "got" / name for name in ("big", "1", "2")),
    ):
        assert path.stat().st_mode & 0o777 == usual, path
        assert path.stat().st_mtime == 1_600_000_000, path


def current_umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_sparse_files_stay_sparse(nodes: Nodes, node: RunningNode, minga: Shell) -> None:
    size = 64 * 1024 * 1024
    far = nodes.start("far", node)
    with (far.directory / "disk.img").open("wb") as out:
        out.truncate(size)
        out.seek(size // 2)
        out.write(b"something" * 1000)
    far.ready()
    wait_for(lambda: node.names() == {"disk.img"}, "it is known")
    minga("get", "disk.img", "-o", "got.img")
    for path in (node.directory / "disk.img", minga.home / "got.img"):
        assert path.stat().st_size == size
        assert path.stat().st_blocks * 512 < size / 8, path
    assert (minga.home / "got.img").read_bytes() == (far.directory / "disk.img").read_bytes()


@pytest.mark.parametrize("way", ["named", "piped", "with small ones"])
def test_sparse_files_stay_sparse_where_they_are_put(node: RunningNode, minga: Shell, way: str) -> None:
    """With a length, in chunks, and as one of an archive's members."""
    size = 64 * 1024 * 1024
    folder = minga.home / "folder"
    folder.mkdir()
    with (folder / "disk.img").open("wb") as out:
        out.seek(size // 2)
        out.write(b"something" * 1000)
        out.truncate(size)
    if way == "named":
        minga("put", "folder/disk.img")
    elif way == "piped":
        with (folder / "disk.img").open("rb") as body:
            node.request("PUT", "/files/disk.img", body=body, chunked=True)
    else:
        subprocess.run(["tar", "cf", str(minga.home / "a.tar"), "-C", str(folder), "disk.img"], check=True)
        archive = (minga.home / "a.tar").read_bytes()
        assert node.request("POST", "/api/v1/archive", body=archive).status == 200
    put = node.directory / "disk.img"
    assert put.stat().st_size == size
    assert put.stat().st_blocks * 512 < size / 8
    assert put.read_bytes() == (folder / "disk.img").read_bytes()


def test_what_is_put_has_the_time_of_its_source(node: RunningNode, minga: Shell) -> None:
    """Alone, as one of many small files, and as a big one among those."""
    folder = minga.home / "old"
    folder.mkdir()
    for name, size in (("alone", 10), ("small 1", 10), ("small 2", 20), ("big", 300_000)):
        (folder / name).write_bytes(os.urandom(size))
        os.utime(folder / name, (0, 1_000_000_000 + size))
    minga("put", "old/alone")
    minga("put", "-r", "old")
    for path in (node.directory / "alone", *(node.directory / "old").iterdir()):
        assert path.stat().st_mtime == (folder / path.name).stat().st_mtime, path
    assert time.time() - 1000 < node.directory.joinpath("alone").stat().st_ctime


def as_another_user(minga: Shell, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command without root's right to pass over what a file's mode says."""
    command = [sys.executable, "-m", "minga_node.cli", *arguments]
    if os.geteuid() == 0:
        command = ["setpriv", "--bounding-set", "-all", "--inh-caps", "-all", *command]
    return subprocess.run(command, env=minga.environment, cwd=minga.home, capture_output=True, text=True)


def test_what_the_user_of_the_command_may_not_do_is_one_line_that_names_it(
    node: RunningNode, minga: Shell
) -> None:
    """Another user's folders and files, as far as the command is concerned."""
    node.put("a.txt", b"a")
    locked, tree = minga.home / "locked", minga.home / "tree"
    for folder in (locked, tree / "closed", tree / ".hidden", tree / "open"):
        folder.mkdir(parents=True)
        (folder / "in it").write_bytes(b"in it")
    (tree / "secret").write_bytes(b"secret")
    for path, mode in ((locked, 0o500), (tree / "closed", 0), (tree / ".hidden", 0), (tree / "secret", 0)):
        path.chmod(mode)
    try:
        for target in ("locked/", "locked/b.txt"):
            refused = as_another_user(minga, "get", "a.txt", "-o", target)
            name = target if target.endswith("txt") else f"{target}a.txt"
            assert (refused.returncode, refused.stderr) == (
                1,
                f"minga: {name} cannot be written: Permission denied\n",
            )
        put = as_another_user(minga, "put", "-r", "tree")
        assert put.returncode == 1
        assert sorted(put.stderr.removeprefix("minga: ").splitlines()) == [
            "tree/closed: Permission denied",
            "tree/secret: Permission denied",
        ]
        assert "tree/open/in it" in put.stdout
        contexts = Path(minga.environment["XDG_CONFIG_HOME"]) / "minga" / "contexts.json"
        minga("context", "add", "here", node.url)
        contexts.chmod(0)
        ls = as_another_user(minga, "context", "ls")
        assert ls.stderr == f"minga: {contexts} cannot be read: Permission denied\n"
        contexts.chmod(0o600)
        for each in (("put", "tree/secret"), ("--token-file", "tree/secret", "status")):
            refused = as_another_user(minga, *each)
            assert (refused.returncode, len(refused.stderr.splitlines())) == (2, 1)
            assert "is not readable" in refused.stderr
    finally:
        for path in (locked, tree / "closed", tree / ".hidden", tree / "secret"):
            path.chmod(0o700)


def test_a_put_is_waited_for_as_long_as_the_node_hashes(node: RunningNode, minga: Shell) -> None:
    with (minga.home / "large.img").open("wb") as out:
        out.truncate(2 * 1024**3)
    client = Client(node.url, patience=0.3)
    with (minga.home / "large.img").open("rb", buffering=0) as body:
        row = client.put_file("large.img", body, 2 * 1024**3)
    assert row["size"] == 2 * 1024**3


def test_a_name_of_255_bytes_is_fetched(node: RunningNode, minga: Shell) -> None:
    name = "ü" * 125 + ".text"
    (node.directory / name).write_bytes(b"long")
    wait_for(lambda: node.names() == {name}, "it is shared")
    minga("get", name, "-o", "got/")
    assert (minga.home / "got" / name).read_bytes() == b"long"


def test_names_that_cannot_be_shared_are_counted_shown_and_logged_once(
    nodes: Nodes, node: RunningNode, minga: Shell
) -> None:
    bad = [os.fsdecode(b"bad\xff"), "back\\slash", "line\nbreak"]
    for name in bad:
        (node.directory / name).write_bytes(b"x")
    wait_for(lambda: node.get("/api/v1/node")["unshareable"] == 3, "all three are counted")
    assert "3 names cannot be shared" in minga("status")
    doctor = minga.run("doctor")
    assert doctor.returncode == 1
    assert b"3 names cannot be shared" in doctor.stdout
    assert sum("back" in line for line in node.log.splitlines()) == 1
    (node.directory / bad[1]).rename(node.directory / "good")
    wait_for(lambda: node.get("/api/v1/node")["unshareable"] == 2, "one was renamed")
