"""The x bit and the time of a file go wherever the file goes, and no other mode does."""

from __future__ import annotations

import io
import os
import stat
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.nodes import Nodes, RunningNode
from tests.support.shell import Shell
from tests.waiting import wait_for

pytestmark = pytest.mark.integration

THEN = 1_000_000_000
"""Seconds since 1970."""
BIG = os.urandom(3_000_000)
FILES = {"bin/tool": BIG, "bin/small": b"#!/bin/sh\n", "data/big": BIG[::-1], "data/small": b"text"}
FILES["data/same"] = FILES["bin/tool"]
"""One content, and only one of its names is a program."""
PROGRAMS = {"bin/tool", "bin/small"}


def dress(path: Path, name: str) -> None:
    path.chmod(0o6755 if name in PROGRAMS else 0o644)
    os.utime(path, (THEN, THEN))


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RunningNode, RunningNode]]:
    base = tmp_path_factory.mktemp("attributes")
    nodes = Nodes(base)
    for name, content in FILES.items():
        path = base / "one/files" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        dress(path, name)
    one = nodes.start("one").ready()
    two = nodes.start("two", one).ready()
    wait_for(lambda: two.names() >= FILES.keys(), "the index")
    yield one, two
    nodes.stop()


def seen(path: Path) -> tuple[int, int]:
    status = path.stat()
    return stat.S_IMODE(status.st_mode), int(status.st_mtime)


def expected(name: str) -> tuple[int, int]:
    umask = os.umask(0)
    os.umask(umask)
    return (0o777 if name in PROGRAMS else 0o666) & ~umask, THEN


def test_the_index_tells_them(pair: tuple[RunningNode, RunningNode]) -> None:
    for node in pair:
        rows = {row["name"]: row for row in node.get("/api/v1/files")["files"] if row["name"] in FILES}
        assert {name for name, row in rows.items() if row["executable"]} == PROGRAMS
        assert {row["modified"] for row in rows.values()} == {THEN * 1000}
        assert not any("executable" in row["media_type"] for row in rows.values())


@pytest.mark.parametrize("name", sorted(FILES))
def test_a_download_of_another_node_has_them(pair: tuple[RunningNode, RunningNode], name: str) -> None:
    two = pair[1]
    assert two.fetch(name=name)["state"] == "complete"
    assert seen(two.directory / name) == expected(name)


def test_a_batch_of_small_files_has_them(nodes: Nodes, pair: tuple[RunningNode, RunningNode]) -> None:
    three = nodes.start("three", pair[0]).ready()
    wait_for(lambda: three.names() >= FILES.keys(), "the index")
    rows = {row["name"]: row for row in three.get("/api/v1/files")["files"]}
    keys = ("name", "id", "size")
    small = [{key: rows[name][key] for key in keys} for name in sorted(FILES) if "small" in name]
    three.fetch(files=small)  # type: ignore[arg-type]
    for each in small:
        assert seen(three.directory / each["name"]) == expected(each["name"])


def test_an_archive_has_them(pair: tuple[RunningNode, RunningNode]) -> None:
    packed = pair[0].request("GET", "/api/v1/archive?q=*").data
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        found = {member.name: (member.mode, member.mtime) for member in tar.getmembers()}
    assert {name: found[name] for name in FILES} == {
        name: (0o755 if name in PROGRAMS else 0o644, THEN) for name in FILES
    }


def test_the_command_line_takes_them_out(pair: tuple[RunningNode, RunningNode], tmp_path: Path) -> None:
    minga = Shell(tmp_path, pair[0].url)
    for name in FILES:
        leaf = name.replace("/", "-")
        minga("get", name, "-o", leaf)
        assert seen(tmp_path / leaf) == expected(name)
    for folder in ("bin", "data"):
        minga("get", "-r", f"{folder}/", "-o", folder)
        found = [path for path in (tmp_path / folder).rglob("*") if path.is_file()]
        assert {path.name for path in found} == {Path(n).name for n in FILES if n.startswith(folder)}
        for path in found:
            assert seen(path) == expected(f"{folder}/{path.name}")


def test_the_command_line_takes_them_in(pair: tuple[RunningNode, RunningNode], tmp_path: Path) -> None:
    minga = Shell(tmp_path, pair[0].url)
    for name, content in FILES.items():
        source = tmp_path / "in" / name
        source.parent.mkdir(parents=True, exist_ok=True)
        source.write_bytes(content + b"another")
        dress(source, name)
    minga("put", "-r", "in")
    minga("put", "in/bin/tool", "--as", "alone")
    for name in FILES:
        assert seen(pair[0].directory / "in" / name) == expected(name)
    assert seen(pair[0].directory / "alone") == expected("bin/tool")


def test_a_change_of_the_bit_alone_is_told(pair: tuple[RunningNode, RunningNode]) -> None:
    one, two = pair
    path = one.directory / "later"
    path.write_bytes(b"not yet")

    def told(executable: bool) -> bool:
        rows = two.get("/api/v1/files?name=later")["files"]
        return bool(rows) and rows[0]["executable"] is executable

    wait_for(lambda: told(False), "the new file")
    path.chmod(0o755)
    wait_for(lambda: told(True), "its x bit")
