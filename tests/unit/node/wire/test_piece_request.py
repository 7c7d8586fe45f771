"""Heads of requests to the piece listener, and what it answers, without a socket."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from minga_node.uploads.connection import QueuedUpload, Served
from minga_node.uploads.responses import answer
from minga_node.wire.http import LARGEST_HEAD_BYTES
from minga_node.wire.piece_request import PieceRequest, Refusal, heads
from minga_node.wire.piece_set import Pieces

ID = "a" * 64
PIECE = 100


def head(line: str = f"GET /pieces/{ID} HTTP/1.1", *fields: str) -> bytes:
    return "\r\n".join([line, "Host: x", *fields, "\r\n"]).encode()


def test_a_pipeline_is_read_to_its_last_whole_head() -> None:
    read = bytearray(head() + head(f"HEAD /pieces/{ID} HTTP/1.1", "Range: bytes=0-9") + b"GET /pie")
    one, two = heads(read)
    assert isinstance(one, PieceRequest)
    assert isinstance(two, PieceRequest)
    assert (one.head_only, one.range) == (False, None)
    assert (two.head_only, two.range) == (True, "bytes=0-9")
    assert read == b"GET /pie"


def test_what_a_peer_says_is_understood() -> None:
    (asked,) = heads(bytearray(head(f"GET /pieces/{ID} HTTP/1.1", "Minga-Peer: p", "Minga-Have: 0-3")))
    assert isinstance(asked, PieceRequest)
    assert (asked.content_id, asked.peer, asked.have, asked.closing) == (ID, "p", "0-3", False)


@pytest.mark.parametrize(
    ("said", "rate"), [("12500000", 12_500_000), ("", 0), ("-1", 0), ("1e9", 0), ("²", 0), ("9" * 16, 0)]
)
def test_a_rate_is_a_number_of_bytes_or_not_known(said: str, rate: int) -> None:
    (asked,) = heads(bytearray(head(f"GET /pieces/{ID} HTTP/1.1", "Minga-Peer: p", f"Minga-Rate: {said}")))
    assert isinstance(asked, PieceRequest)
    assert asked.rate == rate


@pytest.mark.parametrize("name", ["", "a, b", "-", "../x"])
def test_only_nodes_follow(name: str) -> None:
    line = f"HEAD /pieces/{ID} HTTP/1.1"
    (asked,) = heads(bytearray(head(line, f"Minga-Peer: {name}", "Minga-Follow: 1")))
    assert isinstance(asked, PieceRequest)
    assert not asked.follows


def test_only_a_request_without_a_body_asks_to_follow() -> None:
    lines = (f"{method} /pieces/{ID} HTTP/1.1" for method in ("HEAD", "GET"))
    read = bytearray(b"".join(head(line, "Minga-Peer: p", "Minga-Follow: 1") for line in lines))
    assert [isinstance(one, PieceRequest) and one.follows for one in heads(read)] == [True, False]


@pytest.mark.parametrize(
    "path", ["/", "/pieces/", "/pieces/ABC", f"/other/{ID}", f"/pieces/{ID}/x", "pieces"]
)
def test_a_path_that_names_no_content_is_no_error_here(path: str) -> None:
    (asked,) = heads(bytearray(head(f"GET {path} HTTP/1.1")))
    assert isinstance(asked, PieceRequest)
    assert not asked.content_id


@pytest.mark.parametrize(
    ("data", "status", "closing"),
    [
        (b"nonsense\r\n\r\n", "400", True),
        (head("GET / HTTP/2.0"), "400", True),
        (head(f"GET /pieces/{ID} HTTP/1.1", "Content-Length: 5"), "413", True),
        (head(f"PUT /pieces/{ID} HTTP/1.1"), "405", False),
        (b"x" * (LARGEST_HEAD_BYTES + 1), "431", True),
    ],
)
def test_what_is_not_served_is_refused(data: bytes, status: str, closing: bool) -> None:
    (refused,) = heads(bytearray(data))
    assert isinstance(refused, Refusal)
    assert (refused.status[:3], refused.closing) == (status, closing)


def test_nothing_is_believed_after_a_refusal_that_closes() -> None:
    assert len(list(heads(bytearray(b"nonsense\r\n\r\n" + head())))) == 1


@dataclass
class Content:
    available: Pieces | None
    size: int = 4 * PIECE
    data: bytes | None = None

    def fileno(self) -> int:
        return -1

    def close(self) -> None: ...


def request(ranges: list[tuple[int, int]], available: Pieces | None = None) -> QueuedUpload:
    return QueuedUpload(Served(ID, Content(available), PIECE, [3, 1, 0, 0]), ranges, False, "p", 0.0)


PIECES = [(number * PIECE, (number + 1) * PIECE) for number in range(4)]


def test_the_least_sent_range_is_chosen_and_said() -> None:
    said = answer(request(PIECES), 0)
    assert (said.status[:3], said.start, said.end) == ("206", 200, 300)
    assert ("Content-Range", "bytes 200-299/400") in said.fields


def test_what_the_other_has_got_meanwhile_is_left_out() -> None:
    assert answer(request(PIECES), 0b0100).start == 300
    assert answer(request(PIECES), 0b1111).status[:3] == "204"


def test_only_what_is_here_is_offered() -> None:
    assert answer(request(PIECES, 0b0011), 0).start == 100
    assert answer(request([PIECES[3]], 0b0011), 0).status[:3] == "416"
    assert answer(request([], 0b0011), 0).status[:3] == "404"
    assert answer(request([], 0b1111), 0).status[:3] == "200"
