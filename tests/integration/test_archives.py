"""Many files in one request: archives out of the network and into a node, by REST and by the command."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from minga_node.manifest import Manifest
from tests.nodes import Nodes, RunningNode
from tests.support.shell import Shell
from tests.waiting import wait_for

pytestmark = pytest.mark.integration

SMALL = {f"many/{number % 7}/file{number:03}": os.urandom(100 + number) for number in range(300)}
TWINS = {"many/twin-a": b"the same", "many/twin-b": b"the same", "many/empty": b"", "many/none": b""}
BIG = {"many/big.bin": os.urandom(1_500_000), "many/bigger.bin": os.urandom(2_500_000)}
ALL = SMALL | TWINS | BIG


@pytest.fixture(scope="module")
def giver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Nodes, RunningNode]]:
    nodes = Nodes(tmp_path_factory.mktemp("archives"))
    node = nodes.start("giver", files=ALL | {"other.txt": b"not below many"}).ready()
    wait_for(lambda: len(node.names()) == len(ALL) + 1, "all files are shared")
    yield nodes, node
    nodes.stop()


@pytest.fixture
def taker(giver: tuple[Nodes, RunningNode], request: pytest.FixtureRequest) -> RunningNode:
    """A node that knows all files and has none."""
    nodes, node = giver
    fresh = nodes.start(f"taker-{request.node.name}"[:60].rstrip("-_["), node).ready()
    wait_for(lambda: len(fresh.names()) >= len(ALL) + 1, "all files are known")
    return fresh


def unpacked(archive: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as members:
        found = {}
        for info in members:
            stream = members.extractfile(info)
            assert stream is not None
            found[info.name] = stream.read()
            assert len(info.pax_headers["MINGA.id"]) == 64
        return found


def packed(*entries: tuple[str, bytes] | tarfile.TarInfo) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for entry in entries:
            if isinstance(entry, tarfile.TarInfo):
                archive.addfile(entry)
            else:
                info = tarfile.TarInfo(entry[0])
                info.size = len(entry[1])
                archive.addfile(info, io.BytesIO(entry[1]))
    return out.getvalue()


def upload(node: RunningNode, archive: bytes, query: str = "") -> dict[str, object]:
    response = node.request(
        "POST", f"/api/v1/archive{query}", body=archive, headers={"Content-Type": "application/x-tar"}
    )
    assert response.status == 200, response.data
    found: dict[str, object] = response.json()
    return found


def test_an_archive_holds_what_matches_fetched_as_it_is_sent(taker: RunningNode) -> None:
    response = taker.request("GET", "/api/v1/archive?q=many/&prefix=true")
    assert (response.status, response.headers["Content-Type"]) == (200, "application/x-tar")
    assert unpacked(response.data) == ALL
    assert (taker.directory / "many/big.bin").read_bytes() == BIG["many/big.bin"]
    # Now from its own library, with the same content.
    assert unpacked(taker.request("GET", "/api/v1/archive?q=many/&prefix=true").data) == ALL


@pytest.mark.parametrize(
    ("query", "status", "words"),
    [
        ("", 400, b"q is missing"),
        ("?q=nothing-like-it", 404, b"nobody shares anything like"),
        ("?q=many&min_size=x", 400, b"min_size"),
        ("?q=many/&prefix=true&peer=nobody", 404, b"nobody shares"),
    ],
)
def test_an_archive_of_nothing_is_a_problem_document(
    giver: tuple[Nodes, RunningNode], query: str, status: int, words: bytes
) -> None:
    response = giver[1].request("GET", f"/api/v1/archive{query}")
    assert (response.status, words in response.data) == (status, True)
    assert response.headers["Content-Type"] == "application/problem+json"


def test_a_batch_is_one_download_and_its_files_come_as_a_tar(taker: RunningNode) -> None:
    files = [
        {"name": n, "id": Manifest.of_one_piece(b).id, "size": len(b)} for n, b in (SMALL | TWINS).items()
    ]
    begun = taker.request("POST", "/api/v1/downloads", json={"files": files})
    assert begun.status == 202, begun.data
    identity = begun.json()["id"]
    assert unpacked(taker.request("GET", f"/api/v1/downloads/{identity}/archive").data) == SMALL | TWINS
    download = taker.get(f"/api/v1/downloads/{identity}")
    assert (download["state"], download["verified_pieces"]) == ("complete", len(SMALL | TWINS))
    assert download["name"] == f"many/ ({len(SMALL | TWINS)} small files)"
    for name, body in (SMALL | TWINS).items():
        assert (taker.directory / name).read_bytes() == body


def test_an_archive_that_cannot_be_complete_breaks_off(taker: RunningNode) -> None:
    lost = {"name": "many/lost", "id": "0" * 64, "size": 5}
    name, body = next(iter(SMALL.items()))
    found = {"name": name, "id": Manifest.of_one_piece(body).id, "size": len(body)}
    identity = taker.request("POST", "/api/v1/downloads", json={"files": [found, lost]}).json()["id"]
    ended = subprocess.run(
        ["curl", "-sS", "-o", os.devnull, f"{taker.url}/api/v1/downloads/{identity}/archive"],
        capture_output=True,
    )
    assert ended.returncode == 18, ended.stderr  # "partial file"
    assert taker.get(f"/api/v1/downloads/{identity}")["error"] == "nobody gives many/lost"
    assert "Traceback" not in taker.log


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"files": [{"name": "x", "id": "0" * 64, "size": 65537}]}, b"65536"),
        ({"files": [{"name": "../x", "id": "0" * 64, "size": 1}]}, b"'..'"),
        ({"files": [{"name": "x", "id": "zz", "size": 1}]}, b"64 hex digits"),
        ({"files": [], "name": "x"}, b"files goes without name"),
        ({"name": "x", "limit": -1}, b"limit"),
    ],
)
def test_a_wrong_batch_is_400(giver: tuple[Nodes, RunningNode], body: object, words: bytes) -> None:
    response = giver[1].request("POST", "/api/v1/downloads", json=body)
    assert response.status == 400, response.data
    assert words in response.data


def test_a_tar_is_taken_in_file_by_file(taker: RunningNode) -> None:
    files = {f"up/file{number:04}": os.urandom(50) for number in range(1203)}
    big = os.urandom(1_000_000)
    came = upload(taker, packed(*files.items(), ("up/big.bin", big)), "?under=in")
    assert (came["count"], came["refused_count"]) == (1204, 0)
    assert came["bytes"] == 1203 * 50 + len(big)
    for name, body in {**files, "up/big.bin": big}.items():
        assert (taker.directory / "in" / name).read_bytes() == body
    found = taker.get("/api/v1/files?name=in/up/file0007")["files"]
    assert [row["id"] for row in found] == [Manifest.of_one_piece(files["up/file0007"]).id]
    assert not list((taker.directory / ".minga/incoming").iterdir())


def test_nothing_of_a_tar_gets_out_of_the_library(taker: RunningNode) -> None:
    link = tarfile.TarInfo("link")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc"
    device = tarfile.TarInfo("device")
    device.type = tarfile.CHRTYPE
    came = upload(
        taker,
        packed(
            ("../out", b"x"), ("/etc/absolute", b"x"), link, ("link/through", b"x"), device,
            (".hidden/x", b"x"), ("bad\nname", b"x"), ("good", b"y"),
        ),
    )  # fmt: skip
    assert {each["name"]: each["reason"] for each in came["refused"]}.keys() == {  # type: ignore[attr-defined]
        "../out", "/etc/absolute", "link", "device", ".hidden/x", "bad\nname",
    }  # fmt: skip
    # The link was not made, so this is an ordinary folder.
    assert [each["name"] for each in came["files"]] == ["link/through", "good"]  # type: ignore[attr-defined]
    assert not (taker.directory / "link").is_symlink()
    assert not (taker.directory.parent / "out").exists()


def test_a_name_that_is_a_folder_is_refused_and_the_others_are_taken(taker: RunningNode) -> None:
    came = upload(taker, packed(("a/b", b"1"), ("c", b"2")))
    assert came["refused_count"] == 0
    came = upload(taker, packed(("a", b"a folder"), ("c/d", b"below a file"), ("e", b"3")))
    assert [each["name"] for each in came["files"]] == ["e"]  # type: ignore[attr-defined]
    assert {each["name"] for each in came["refused"]} == {"a", "c/d"}  # type: ignore[attr-defined]
    assert (taker.directory / "c").read_bytes() == b"2"


def test_of_members_of_one_name_the_last_wins(taker: RunningNode) -> None:
    """As tar means it: that is how ``tar r`` appends a later version."""
    small, large = b"small", b"large" * 100_000
    for first, last in ((b"first", small), (b"first", large), (large, small), (large, large + b"r")):
        name = f"twice/{len(first)}-{len(last)}"
        upload(taker, packed((name, first), ("twice/between", b"b"), (name, last)))
        assert taker.request("GET", f"/files/{name}").data == last
        assert (taker.directory / name).read_bytes() == last


def test_a_file_and_a_folder_of_one_name_in_a_tar_spoil_only_themselves(taker: RunningNode) -> None:
    came = upload(taker, packed(("both", b"file"), ("both/in", b"below"), ("other/x", b"x")))
    assert [each["name"] for each in came["refused"]] in (["both"], ["both/in"])  # type: ignore[attr-defined]
    assert "other/x" in [each["name"] for each in came["files"]]  # type: ignore[attr-defined]


def test_a_tar_that_is_cut_off_leaves_whole_files_only(taker: RunningNode) -> None:
    archive = packed(("whole", b"w" * 600), ("half", b"h" * 5000))
    response = taker.request("POST", "/api/v1/archive", body=archive[:3000])
    assert response.status == 400
    assert b"cut off; 1 file is in the library" in response.data
    assert (taker.directory / "whole").read_bytes() == b"w" * 600
    assert not (taker.directory / "half").exists()


def test_get_and_put_of_many_files(
    giver: tuple[Nodes, RunningNode], taker: RunningNode, tmp_path: Path
) -> None:
    minga = Shell(tmp_path, taker.url)
    got = minga.json("get", "-r", "many", "-o", "here")
    assert {row["name"] for row in got} == ALL.keys()
    assert {(tuple(row)) for row in got} == {("name", "id", "size", "path")}
    for name, body in ALL.items():
        assert (tmp_path / "here" / name.removeprefix("many/")).read_bytes() == body
    downloads = taker.get("/api/v1/downloads")["downloads"]
    assert len(downloads) == 1 + len(BIG)
    # What is there is not fetched again; what is damaged is.
    (tmp_path / "here/twin-a").write_bytes(b"damaged!")
    said = minga("get", "-r", "many", "-o", "here", "--force").splitlines()
    assert sum("there already" in line for line in said) == len(ALL) - 1
    assert (tmp_path / "here/twin-a").read_bytes() == b"the same"

    (tmp_path / "here/.hidden").write_bytes(b"not this")
    put = minga.json("put", "-r", "here", "--as", "back")
    assert {row["name"].replace("back/", "many/", 1) for row in put} == ALL.keys()
    assert {(tuple(row)) for row in put} == {("name", "id", "size")}
    wait_for(
        lambda: len(giver[1].get("/api/v1/files?q=back/&prefix=true&limit=1000")["files"]) == len(ALL),
        "the others see them",
    )


def test_put_says_which_files_are_not_taken(taker: RunningNode, tmp_path: Path) -> None:
    (tmp_path / "odd").mkdir()
    for name in ("good", "bad\\slash"):
        (tmp_path / "odd" / name).write_bytes(b"x")
    ended = Shell(tmp_path, taker.url).run("put", "-r", "odd")
    assert (ended.returncode, ended.stdout[:8]) == (1, b"odd/good")
    assert b"backslash" in ended.stderr


def test_get_of_a_folder_with_two_contents_under_one_name_asks_which(
    giver: tuple[Nodes, RunningNode], taker: RunningNode, tmp_path: Path
) -> None:
    taker.put("two/a", b"here")
    giver[1].put("two/a", b"there")
    wait_for(lambda: len(taker.get("/api/v1/files?name=two/a")["files"]) == 2, "both contents")
    minga = Shell(tmp_path, taker.url)
    ended = minga.run("get", "-r", "two", "-o", "x/")
    assert ended.returncode == 4
    assert b"--from" in ended.stderr
    minga("get", "-r", "two", "-o", "x/", "--from", "giver")
    assert (tmp_path / "x/a").read_bytes() == b"there"
    assert taker.request("GET", "/api/v1/archive?q=two/&prefix=true").status == 409
