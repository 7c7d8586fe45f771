"""Requests that REST must refuse in words, and answers that it must not mix up."""

from __future__ import annotations

import io
import os
import socket
import tarfile
import time
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from minga_node.membership import Push
from minga_node.pclient.channels import Channels
from minga_node.pclient.gossip import GossipClient
from tests.nodes import HOST, HTTP, Nodes, RunningNode
from tests.support.writer import Writer
from tests.waiting import wait_for

pytestmark = pytest.mark.integration

MIB = 1024 * 1024


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNode]:
    nodes = Nodes(tmp_path_factory.mktemp("requests"))
    yield nodes.start("one", files={"ten.bin": b"0123456789"}).ready()
    nodes.stop()


def raw(node: RunningNode, request: bytes) -> bytes:
    with socket.create_connection((HOST, node.config["port"]), 20) as connection:
        connection.sendall(request)
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
    return answer


PUT = b"PUT /files/broken.bin HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"


@pytest.mark.parametrize(
    "request_",
    [
        PUT + b"\r\nzz\r\nabc\r\n0\r\n\r\n",
        PUT + b"\r\n3\r\nabcX\r\n0\r\n\r\n",
        PUT + b"\r\nffffffffffffffffff\r\nabc",
        PUT + b"\r\n3\r\nabc\r\n0\r\nbad trailer\r\n\r\n",
        PUT + b"Content-Length: 3\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        b"PUT /files/broken.bin HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX-A : b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX-A: b\r\n c\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 a TLS hello",
    ],
)
def test_what_is_no_request_is_400_and_leaves_no_traceback(node: RunningNode, request_: bytes) -> None:
    answer = raw(node, request_)
    assert answer.startswith(b"HTTP/1.1 400 "), answer[:200]
    assert b"application/problem+json" in answer
    assert not (node.directory / "broken.bin").exists()
    assert list((node.directory / ".minga" / "incoming").glob("*")) == []
    assert "Traceback" not in node.log


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /" + b"a" * 8200 + b" HTTP/1.1\r\nHost: x\r\n\r\n", b"414"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 9000 + b"\r\n\r\n", b"431"),
        (b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 200 + b"\r\n", b"431"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 200_000, b"431"),
        (PUT + b"\r\n1\r\na\r\n0\r\nX: " + b"a" * 200_000, b"431"),
    ],
)
def test_what_is_too_long_is_refused(node: RunningNode, request_: bytes, status: bytes) -> None:
    assert raw(node, request_).startswith(b"HTTP/1.1 " + status)


def test_chunks_with_a_trailer_and_extensions_are_taken(node: RunningNode) -> None:
    body = b"\r\n3;a=b\r\nabc\r\n2\r\nde\r\n0\r\nX-Sum: 1\r\n\r\n"
    answer = raw(node, PUT.replace(b"broken", b"whole") + b"Connection: close\r\n" + body)
    assert answer.startswith(b"HTTP/1.1 201 ")
    assert (node.directory / "whole.bin").read_bytes() == b"abcde"


def test_requests_in_a_row_are_answered_in_their_order(node: RunningNode) -> None:
    one = b"GET /files/ten.bin HTTP/1.1\r\nHost: x\r\nRange: bytes=%d-%d\r\n\r\n"
    last = b"GET /files/ten.bin HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    answer = raw(node, b"".join(one % (n, n) for n in range(10)) + last)
    bodies = [part.partition(b"\r\n\r\n")[2] for part in answer.split(b"HTTP/1.1 20")[1:]]
    assert bodies == [*(b"%d" % n for n in range(10)), b"0123456789"]


def test_a_name_as_it_was_typed_is_found(node: RunningNode) -> None:
    node.put("Prüfung ä.txt".replace(" ", "%20"), b"x")
    path = "/files/Prüfung%20ä.txt".encode()
    answer = raw(node, b"GET " + path + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200 ")


def test_a_tar_whose_size_has_5000_digits_is_400(node: RunningNode) -> None:
    info = tarfile.TarInfo("big.bin")
    info.pax_headers = {"size": "9" * 5000}
    archive = info.tobuf(tarfile.PAX_FORMAT) + bytes(1024)
    response = node.request("POST", "/api/v1/archive", body=archive)
    assert response.status == 400, response.data
    assert "Traceback" not in node.log


def test_the_last_bytes_of_a_small_file_are_all_of_it(node: RunningNode) -> None:
    response = node.request("GET", "/files/ten.bin", headers={"Range": "bytes=-65536"})
    assert (response.status, response.data) == (206, b"0123456789")
    assert response.headers["Content-Range"] == "bytes 0-9/10"


class Remote(io.RawIOBase):
    """A file that is read by ranges, the last bytes by a suffix, as readers of object stores do."""

    def __init__(self, url: str) -> None:
        self._url, self._at = url, 0
        self._size = int(HTTP.request("HEAD", url).headers["Content-Length"])
        self._last = HTTP.request("GET", url, headers={"Range": "bytes=-65557"})
        assert self._last.status == 206

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        end = min(self._at + len(buffer), self._size)
        if end <= self._at:
            return 0
        first = self._size - len(self._last.data)
        data = self._last.data[self._at - first : end - first] if self._at >= first else b""
        if not data:
            bounds = {"Range": f"bytes={self._at}-{end - 1}"}
            data = HTTP.request("GET", self._url, headers=bounds).data
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


def test_a_zip_reader_opens_a_small_archive_by_its_last_bytes(node: RunningNode) -> None:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("a.txt", "hello")
    node.put("small.zip", made.getvalue())
    with zipfile.ZipFile(Remote(f"{node.url}/files/small.zip")) as archive:
        assert archive.read("a.txt") == b"hello"


def test_a_parquet_reader_finds_the_footer_of_a_small_file(node: RunningNode) -> None:
    """It asks for the last 64 KiB, which hold the footer, its length and the magic number."""
    footer = b"footer of thrift"
    made = b"PAR1" + b"columns" + footer + len(footer).to_bytes(4, "little") + b"PAR1"
    node.put("small.parquet", made)
    tail = HTTP.request("GET", f"{node.url}/files/small.parquet", headers={"Range": "bytes=-65536"}).data
    assert tail[-4:] == b"PAR1"
    length = int.from_bytes(tail[-8:-4], "little")
    assert tail[-8 - length : -8] == footer
    eight = HTTP.request("GET", f"{node.url}/files/small.parquet", headers={"Range": "bytes=-8"}).data
    assert eight == made[-8:]


@pytest.mark.parametrize("media_type", ["text/html\r\nX-Evil: yes", "text/plain; a=\x00", "text", "ü/ü"])
def test_a_media_type_that_is_none_gets_into_no_header(node: RunningNode, media_type: str) -> None:
    """It comes from a peer, which may say what it likes of its own files."""
    writer = Writer(f"evil-{len(media_type)}", time.time_ns() // 1000)
    writer.share(f"evil {len(media_type)}", media_type=media_type)
    channels = Channels()
    try:
        grpc_port = node.config["grpc_port"]
        calls = GossipClient(channels)
        calls.join(f"{HOST}:{grpc_port}", "test", writer.record(time.time_ns() // 1_000_000))
        calls.push(f"{HOST}:{grpc_port}", Push("test", writer.record(), deltas=(writer.delta(),)))
    finally:
        channels.close()
    name = f"evil%20{len(media_type)}"
    wait_for(lambda: node.get(f"/api/v1/files?q={name}")["files"], "the file is listed")
    head = node.request("HEAD", f"/files/{name}")
    assert (head.status, head.headers["Content-Type"]) == (200, "application/octet-stream")
    assert "X-Evil" not in head.headers
    assert node.request("GET", "/api/v1/files?media_type=a%0d%0ab").json()["files"] == []
    assert "Traceback" not in node.log


def test_ranges_and_conditions_are_those_of_rfc_9110(node: RunningNode) -> None:
    head = node.request("HEAD", "/files/ten.bin", headers={"Range": "bytes=0-1"})
    assert (head.status, head.headers["Content-Length"]) == (200, "10")
    etag, date = head.headers["ETag"], head.headers["Last-Modified"]

    def status(**headers: str) -> int:
        named = {key.replace("_", "-"): value for key, value in headers.items()}
        return node.request("GET", "/files/ten.bin", headers=named).status

    assert status(Range="bytes=0-1", If_Range=etag) == 206
    assert status(Range="bytes=0-1", If_Range=f"W/{etag}") == 200
    assert status(Range="bytes=0-1", If_Range=date) == 206
    assert status(Range="bytes=0-1", If_Range="Fri, 01 Jan 2100 00:00:00 GMT") == 200
    assert status(If_None_Match=f"W/{etag}") == 304
    assert status(If_Match='"other"') == 412
    assert status(If_Match=etag) == 200
    assert status(Range="bytes=10-") == 416


def test_of_writers_at_once_that_want_a_new_name_one_gets_it(node: RunningNode) -> None:
    for turn in range(5):

        def put(number: int, turn: int = turn) -> int:
            return node.request(
                "PUT", f"/files/race-{turn}.bin", body=b"%d" % number * 1000, headers={"If-None-Match": "*"}
            ).status

        with ThreadPoolExecutor(8) as pool:
            found = sorted(pool.map(put, range(8)))
        assert found == [201] + [412] * 7


def test_of_writers_at_once_that_know_the_old_content_one_replaces_it(node: RunningNode) -> None:
    node.put("old.bin", b"old")
    etag = node.request("HEAD", "/files/old.bin").headers["ETag"]

    def put(number: int) -> int:
        return node.request(
            "PUT", "/files/old.bin", body=b"%d" % number * 1000, headers={"If-Match": etag}
        ).status

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(put, range(8))) == [200] + [412] * 7


def test_an_answer_that_would_mix_two_versions_is_broken_off(node: RunningNode) -> None:
    size = 64 * MIB
    path = node.directory / "rewritten.bin"
    path.write_bytes(b"a" * size)
    wait_for(lambda: "rewritten.bin" in node.names("rewritten"), "it is shared")
    with socket.create_connection((HOST, node.config["port"]), 20) as connection:
        connection.sendall(b"GET /files/rewritten.bin HTTP/1.1\r\nHost: x\r\n\r\n")
        got = connection.recv(65536)
        assert got.startswith(b"HTTP/1.1 200 ")
        # In place: the same inode, as an editor or a database writes.
        with path.open("r+b") as file:
            file.write(b"b" * size)
        received = len(got.partition(b"\r\n\r\n")[2])
        try:
            while chunk := connection.recv(MIB):
                received += len(chunk)
        except ConnectionResetError:
            pass
    assert received < size
    assert "Traceback" not in node.log
