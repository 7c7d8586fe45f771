"""REST of one real node."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import urllib3
from openapi_spec_validator import validate

from tests.nodes import HTTP, Nodes, RunningNode
from tests.waiting import PATIENCE, wait_for

pytestmark = pytest.mark.integration

BIG = os.urandom(3_000_001)


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNode]:
    nodes = Nodes(tmp_path_factory.mktemp("rest"))
    yield nodes.start("one", files={"big.bin": BIG, "docs/a b.txt": b"hello"}).ready()
    nodes.stop()


@pytest.fixture(autouse=True)
def _settled(node: RunningNode) -> None:
    wait_for(lambda: {"big.bin", "docs/a b.txt"} <= node.names(), "both files")


def raw(node: RunningNode, request: bytes) -> bytes:
    """What the node answers to bytes that no client library would send."""
    with socket.create_connection(("127.0.0.1", node.config["port"]), 10) as connection:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
    return answer


def problem(response: urllib3.BaseHTTPResponse) -> Any:
    assert response.headers["Content-Type"] == "application/problem+json"
    body = response.json()
    assert body["status"] == response.status
    return body


def test_a_list_tells_of_every_change_at_once(node: RunningNode) -> None:
    """Though what was asked a moment ago is remembered."""
    for number in range(10):
        name = f"list/{number}.txt"
        node.request("PUT", f"/files/{name}", body=b"%d" % number)
        for _ in range(2):
            found = node.get("/api/v1/files?q=list/")["files"]
            assert [file["name"] for file in found] == [name]
            (same,) = node.get(f"/api/v1/files?name={name}")["files"]
            # Its SHA-256 may be computed just now.
            assert {**same, "sha256": None} == {**found[0], "sha256": None}
        node.request("DELETE", f"/files/{name}")
        assert node.get("/api/v1/files?q=list/")["files"] == []


def test_a_file_comes_back_byte_for_byte(node: RunningNode) -> None:
    response = node.request("GET", "/files/big.bin")
    assert response.status == 200
    assert response.data == BIG
    assert response.headers["Accept-Ranges"] == "bytes"
    assert response.headers["X-Content-Type-Options"] == "nosniff"


def test_head_is_get_without_the_body(node: RunningNode) -> None:
    response = node.request("HEAD", "/files/big.bin")
    assert response.headers["Content-Length"] == str(len(BIG))
    assert response.data == b""


@pytest.mark.parametrize(
    ("header", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=100-199", 100, 200),
        ("bytes=2999999-", 2_999_999, 3_000_001),
        ("bytes=-5", 2_999_996, 3_000_001),
        ("bytes=2000000-99999999", 2_000_000, 3_000_001),
    ],
)
def test_a_range_is_that_range(node: RunningNode, header: str, start: int, end: int) -> None:
    response = node.request("GET", "/files/big.bin", headers={"Range": header})
    assert response.status == 206
    assert response.headers["Content-Range"] == f"bytes {start}-{end - 1}/{len(BIG)}"
    assert response.data == BIG[start:end]


def test_a_range_beyond_the_end_is_416(node: RunningNode) -> None:
    response = node.request("GET", "/files/big.bin", headers={"Range": "bytes=3000001-"})
    assert response.status == 416
    assert response.headers["Content-Range"] == f"bytes */{len(BIG)}"
    assert problem(response)["type"] == "urn:minga:problem:range-not-satisfiable"


def test_a_copy_that_is_current_is_not_sent_again(node: RunningNode) -> None:
    etag = node.request("HEAD", "/files/big.bin").headers["ETag"]
    assert node.request("GET", "/files/big.bin", headers={"If-None-Match": etag}).status == 304
    assert node.request("GET", "/files/big.bin", headers={"If-None-Match": '"other"'}).status == 200


def test_a_range_of_another_version_is_answered_with_everything(node: RunningNode) -> None:
    headers = {"Range": "bytes=0-9", "If-Range": '"other"'}
    assert node.request("GET", "/files/big.bin", headers=headers).status == 200


def test_put_then_get_then_replace_then_delete(node: RunningNode) -> None:
    created = node.request("PUT", "/files/x/new.txt", body=b"one")
    assert (created.status, created.headers["Location"]) == (201, "/files/x/new.txt")
    assert node.request("GET", "/files/x/new.txt").data == b"one"
    assert node.request("PUT", "/files/x/new.txt", body=b"two!").status == 200
    assert node.request("GET", "/files/x/new.txt").data == b"two!"
    assert node.request("DELETE", "/files/x/new.txt").status == 204
    assert problem(node.request("GET", "/files/x/new.txt"))["type"] == "urn:minga:problem:not-found"
    assert not (node.directory / "x/new.txt").exists()


def test_put_without_a_length_is_taken(node: RunningNode) -> None:
    response = node.request("PUT", "/files/chunked.bin", body=iter([b"a" * 70_000, b"b"]))
    assert response.status == 201
    assert (node.directory / "chunked.bin").read_bytes() == b"a" * 70_000 + b"b"


def test_put_if_none_match_does_not_overwrite(node: RunningNode) -> None:
    response = node.request("PUT", "/files/big.bin", body=b"x", headers={"If-None-Match": "*"})
    assert response.status == 412
    assert (node.directory / "big.bin").read_bytes() == BIG


@pytest.mark.parametrize(
    "path",
    [
        b"/files/../etc/passwd",
        b"/files/a/../../b",
        b"/files/%2e%2e/b",
        b"/files//etc/passwd",
        b"/files/",
        b"/files/a%00b",
        b"/files/a%0ab",
        b"/files/%ff%fe",
        b"/files/.hidden",
        b"/files/a/.minga/b",
        b"/files/" + b"x" * 1025,
        b"/files/" + b"/".join([b"y" * 200] * 6),
    ],
)
@pytest.mark.parametrize("method", [b"PUT", b"GET", b"DELETE"])
def test_a_bad_name_is_400_and_touches_nothing(node: RunningNode, method: bytes, path: bytes) -> None:
    before = sorted(node.directory.rglob("*"))
    length = b"Content-Length: 1\r\n\r\nx" if method == b"PUT" else b"\r\n"
    answer = raw(node, method + b" " + path + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + length)
    assert answer.startswith(b"HTTP/1.1 400"), answer[:200]
    assert b"urn:minga:problem:invalid-name" in answer
    assert sorted(node.directory.rglob("*")) == before


def test_a_short_body_publishes_nothing(node: RunningNode) -> None:
    answer = raw(node, b"PUT /files/short.bin HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nonly this")
    assert b" 400 " in answer.split(b"\r\n")[0] or answer == b""
    assert not (node.directory / "short.bin").exists()
    assert "short.bin" not in node.names()
    assert list((node.directory / ".minga" / "incoming").glob("*")) == []


def test_what_there_is_not_is_a_problem_document(node: RunningNode) -> None:
    assert problem(node.request("GET", "/files/missing"))["status"] == 404
    assert problem(node.request("GET", "/nowhere"))["status"] == 404
    assert problem(node.request("PATCH", "/files/big.bin"))["status"] == 405
    assert problem(node.request("GET", "/api/v1/downloads/none"))["status"] == 404


@pytest.mark.parametrize("query", ["limit=0", "limit=x", "limit=100000", "scope=universe", "cursor=garbage"])
def test_a_wrong_parameter_is_400(node: RunningNode, query: str) -> None:
    assert problem(node.request("GET", f"/api/v1/files?{query}"))["status"] == 400


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"[]", b'{"name": 5}', b'{"id": "xyz"}', b'{"nam": "a"}', b'{"name": "../a"}']
)
def test_a_wrong_download_is_400(node: RunningNode, body: bytes) -> None:
    assert problem(node.request("POST", "/api/v1/downloads", body=body))["status"] == 400


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/v1/downloads"),
        ("PUT", "/files/stolen"),
        ("DELETE", "/files/big.bin"),
        ("POST", "/api/v1/wants"),
    ],
)
def test_a_page_of_another_origin_changes_nothing(node: RunningNode, method: str, path: str) -> None:
    response = node.request(method, path, body=b'{"name": "x"}', headers={"Origin": "http://evil.example"})
    assert response.status == 403
    assert problem(response)["type"] == "urn:minga:problem:forbidden"
    assert node.request("GET", "/files/stolen").status == 404
    assert node.request("GET", "/files/big.bin").status == 200


def test_our_own_page_may_change_things(node: RunningNode) -> None:
    own = {"Origin": node.url}
    assert node.request("PUT", "/files/own.txt", body=b"x", headers=own).status == 201
    assert node.request("DELETE", "/files/own.txt", headers=own).status == 204


def test_search_finds_parts_of_names(node: RunningNode) -> None:
    assert node.names("BIG") == {"big.bin"}
    (row,) = node.get("/api/v1/files?q=big.b")["files"]
    assert (row["size"], row["media_type"]) == (len(BIG), "application/octet-stream")
    assert row["holders"] == [{"peer": "one", "complete": True, "online": True}]


def test_pages_hold_everything_once(node: RunningNode) -> None:
    for n in range(25):
        node.put(f"pages/{n:02}", str(n).encode())
    seen: list[str] = []
    cursor = ""
    while True:
        page = node.get(f"/api/v1/files?q=pages/&limit=7&cursor={cursor}")
        seen += [row["name"] for row in page["files"]]
        if page["next_cursor"] is None:
            break
        cursor = page["next_cursor"]
    assert sorted(seen) == [f"pages/{n:02}" for n in range(25)]


def test_pieces_are_served_by_id(node: RunningNode) -> None:
    (row,) = node.get("/api/v1/files?q=big.bin")["files"]
    response = node.request("GET", f"/pieces/{row['id']}", headers={"Range": "bytes=10-19"})
    assert (response.status, response.data) == (206, BIG[10:20])
    assert problem(node.request("GET", f"/pieces/{'0' * 64}"))["status"] == 404


def test_metrics_count_by_route_never_by_name(node: RunningNode) -> None:
    node.request("GET", "/files/some-name-nobody-has")
    text = node.request("GET", "/metrics").data.decode()
    assert 'route="/files/<name:name>"' in text
    assert "some-name-nobody-has" not in text
    assert "big.bin" not in text
    assert node.metric("minga_library_files") >= 2


def test_the_openapi_document_is_valid_and_names_every_route(node: RunningNode) -> None:
    document = node.get("/api/v1/openapi.json")
    validate(document)
    assert {
        "/api/v1/files",
        "/files/{name}",
        "/pieces/{identity}",
        "/api/v1/downloads",
        "/api/v1/downloads/{identity}",
        "/api/v1/downloads/{identity}/events",
        "/api/v1/peers",
        "/api/v1/node",
        "/healthz",
        "/readyz",
        "/metrics",
        "/api/v1/openapi.json",
    } <= document["paths"].keys()
    assert set(document["paths"]["/files/{name}"]) == {"get", "head", "put", "delete"}


def test_a_kept_alive_connection_waits_for_no_delayed_acknowledgement(node: RunningNode) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", node.config["port"], timeout=30)
    took = []
    for _ in range(40):
        began = time.monotonic()
        connection.request("GET", "/healthz")
        assert connection.getresponse().read()
        took.append(time.monotonic() - began)
    connection.close()
    # Linux delays acknowledgements by 40 ms, but for the first of a connection. On a busy machine, too, some
    # requests take less.
    assert min(took[-10:]) < 0.03


def test_it_is_not_werkzeugs_server(node: RunningNode) -> None:
    assert node.request("GET", "/healthz").headers["Server"] == "minga"


def test_32_clients_at_once_get_right_answers(node: RunningNode) -> None:
    start = threading.Barrier(32)

    def client(number: int) -> None:
        start.wait(PATIENCE)
        content = hashlib.sha256(str(number).encode()).digest() * 5000
        for turn in range(6):
            name = f"crowd/{number}/{turn}.bin"
            response = HTTP.request("PUT", f"{node.url}/files/{name}", body=content)
            assert response.status == 201, response.data
            assert HTTP.request("GET", f"{node.url}/files/{name}").data == content
            assert name in node.names(f"crowd/{number}/{turn}")
            part = HTTP.request(
                "GET", f"{node.url}/files/big.bin", headers={"Range": f"bytes={number}-{turn + 100}"}
            )
            assert part.data == BIG[number : turn + 101]

    with ThreadPoolExecutor(32) as pool:
        list(pool.map(client, range(32)))
    assert len(node.names("crowd/")) == 192


def test_a_full_disk_is_507_and_nothing_half_written(nodes: Nodes, tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root for a small file system")
    import subprocess

    small = tmp_path / "tiny" / "files"
    small.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(small)], check=True)
    try:
        node = nodes.start("tiny", state_directory=str(tmp_path / "tiny-state")).ready()
        response = node.request("PUT", "/files/large.bin", body=b"x" * 8_000_000)
        assert response.status == 507
        assert problem(response)["type"] == "urn:minga:problem:storage-full"
        # What was not read of the body could not be told from the next request.
        assert response.headers["Connection"] == "close"
        assert node.names() == set()
        assert [p for p in small.rglob("*") if p.is_file()] == [small / ".minga" / "directory"]
        assert node.request("PUT", "/files/small.bin", body=b"x").status == 201
        node.terminate()
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_problem_documents_are_json_with_the_required_members(node: RunningNode) -> None:
    body = json.loads(node.request("GET", "/files/missing").data)
    assert set(body) >= {"type", "title", "status", "detail"}


def test_fetching_what_is_here_already_leaves_the_file_alone(node: RunningNode) -> None:
    node.put("here.bin", BIG)
    before = (node.directory / "here.bin").stat()
    download = node.fetch(name="here.bin")
    assert (download["state"], download["verified"]) == ("complete", len(BIG))
    assert download["verified_pieces"] == download["pieces"] > 0
    after = (node.directory / "here.bin").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
