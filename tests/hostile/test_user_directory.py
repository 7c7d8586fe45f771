"""The directory is the user's: what somebody saves at a bad moment is never lost, nor passed on wrongly."""

from __future__ import annotations

import os
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.nodes import Nodes, RunningNode
from tests.support.without_calls import old_kernel, prefix
from tests.waiting import wait_for

pytestmark = pytest.mark.integration

LONG = 3600
"""Seconds for which nothing that is saved becomes quiet."""


def files(node: RunningNode) -> dict[str, bytes]:
    """What the user sees in the node's directory."""
    found = (path for path in node.directory.rglob("*") if path.is_file())
    names = {path.relative_to(node.directory).as_posix(): path for path in found}
    return {name: path.read_bytes() for name, path in names.items() if not name.startswith(".minga/")}


OLD_AND_NEW = pytest.mark.parametrize(
    "kernel", [(), prefix(*old_kernel())], ids=["today's kernel", "one without openat2 and renameat2"]
)


@OLD_AND_NEW
def test_a_download_leaves_what_the_user_has_just_saved(nodes: Nodes, kernel: tuple[str, ...]) -> None:
    far = nodes.start("far", files={"notes.txt": b"theirs", "small/1": b"1", "small/2": b"2"}).ready()
    near = nodes.start("near", far, quiet_seconds=LONG, prefix=kernel).ready()
    wait_for(lambda: len(near.names()) == 3, "near knows them")
    mine = {"notes.txt": b"mine", "small/1": b"my 1"}
    (near.directory / "small").mkdir()
    for name, content in mine.items():
        (near.directory / name).write_bytes(content)
    assert near.fetch(name="notes.txt")["state"] == "complete"
    rows = [row for row in near.get("/api/v1/files")["files"] if row["name"].startswith("small/")]
    batch = [{"name": row["name"], "id": row["id"], "size": row["size"]} for row in rows]
    where = near.request("POST", "/api/v1/downloads", json={"files": batch}).headers["Location"]
    wait_for(lambda: near.get(where)["state"] == "complete", "the batch")
    found = files(near)
    assert mine.items() <= found.items()
    assert sorted(found.values()) == [b"1", b"2", b"mine", b"my 1", b"theirs"]


def test_a_log_that_is_always_appended_to_survives_whatever_is_asked(nodes: Nodes) -> None:
    node = nodes.start("node", quiet_seconds=0.3, files={"app.log": b"first\n"}).ready()
    wait_for(lambda: "app.log" in node.names(), "it is shared")
    tag = node.request("HEAD", "/files/app.log").headers["ETag"]
    with (node.directory / "app.log").open("ab", buffering=0) as log:
        log.write(b"second\n")
        put = node.request("PUT", "/files/app.log", body=b"put", headers={"If-Match": tag})
        gone = node.request("DELETE", "/files/app.log", headers={"If-Match": tag})
        bare = node.request("DELETE", "/files/app.log")
    assert (put.status, gone.status, bare.status) == (412, 412, 409)
    assert files(node) == {"app.log": b"first\nsecond\n"}
    with (node.directory / "app.log").open("ab", buffering=0) as log:
        log.write(b"third\n")
        node.put("app.log", b"put")
        log.write(b"fourth\n")
    found = files(node)
    assert found.pop("app.log") == b"put"
    assert list(found.values()) == [b"first\nsecond\nthird\nfourth\n"]


def test_of_many_conditional_puts_at_once_one_succeeds(nodes: Nodes) -> None:
    node = nodes.start("node").ready()
    node.put("a", b"0")
    for turn in range(5):
        tag = node.request("HEAD", "/files/a").headers["ETag"]
        bodies = [os.urandom(300_000) for _ in range(6)]

        def put(body: bytes, tag: str = tag) -> int:
            return node.request("PUT", "/files/a", body=body, headers={"If-Match": tag}).status

        with ThreadPoolExecutor(6) as pool:
            answers = list(pool.map(put, bodies))
        assert sorted(answers) == [200] + 5 * [412], turn
        assert (node.directory / "a").read_bytes() == bodies[answers.index(200)]


def test_of_many_puts_of_a_new_file_at_once_one_succeeds(nodes: Nodes) -> None:
    node = nodes.start("node").ready()

    def put(body: bytes) -> int:
        return node.request("PUT", "/files/new", body=body, headers={"If-None-Match": "*"}).status

    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(put, [os.urandom(300_000) for _ in range(6)]))
    assert sorted(answers) == [201] + 5 * [412]


def test_one_bad_file_keeps_no_other_from_being_shared(nodes: Nodes) -> None:
    node = nodes.start("node", rescan_seconds=1)
    times = {"of 2300": 10_413_792_000, "of 1901": -2_177_452_800, "of 2446": 15_032_385_535}
    for name, when in times.items():
        path = node.directory / name
        path.write_bytes(name.encode())
        os.utime(path, (when, when))
    (node.directory / "good").write_bytes(b"good")
    node.ready()
    wait_for(lambda: node.names() == {"good", *times}, "all of them")
    for name in times:
        assert node.request("GET", f"/files/{name}").data == name.encode()
    (node.directory / "later").write_bytes(b"later")
    wait_for(lambda: "later" in node.names(), "what comes after them")
    assert "Traceback" not in node.log


@OLD_AND_NEW
def test_a_folder_that_becomes_a_link_to_outside_shares_nothing_of_outside(
    nodes: Nodes, tmp_path: Path, kernel: tuple[str, ...]
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "a").write_bytes(b"secret")
    (outside / "b").write_bytes(b"secret, too")
    public = {"x/a": b"public", "x/b": b"public, too"}
    node = nodes.start("node", files=public, rescan_seconds=1, prefix=kernel).ready()
    wait_for(lambda: node.names() == {"x/a", "x/b"}, "both")
    shutil.rmtree(node.directory / "x")
    (node.directory / "x").symlink_to(outside)
    wait_for(lambda: not node.names(), "both are gone")
    time.sleep(1.5)  # A look at everything.
    assert node.names() == set()
    assert b"secret" not in node.request("GET", "/files/x/a").data
    assert node.request("PUT", "/files/x/c", body=b"c").status == 400
    assert not (outside / "c").exists()


def test_a_folder_in_place_of_a_file_is_seen_with_the_event(nodes: Nodes) -> None:
    node = nodes.start("node", files={"a": b"file"}, rescan_seconds=LONG).ready()
    wait_for(lambda: node.names() == {"a"}, "the file")
    (node.directory / "a").unlink()
    (node.directory / "a").mkdir()
    (node.directory / "a" / "b").write_bytes(b"in it")
    wait_for(lambda: node.names() == {"a/b"}, "the folder's file alone", 10)
