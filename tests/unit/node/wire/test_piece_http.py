from __future__ import annotations

import pytest

from minga_node.errors import BadRequest, PeerMisbehaved, RangeNotSatisfiable
from minga_node.uploads.connection import servable
from minga_node.wire import http
from minga_node.wire import piece_set as sets


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("bytes=0-0", [(0, 1)]),
        ("bytes=5-", [(5, 100)]),
        ("bytes=-10", [(90, 100)]),
        ("bytes=-1000", [(0, 100)]),
        ("bytes=90-1000", [(90, 100)]),
        ("bytes=0-1, 200-300 ,50-59", [(0, 2), (50, 60)]),
    ],
)
def test_ranges_are_read_as_rfc_9110_says(value: str, expected: list[tuple[int, int]]) -> None:
    assert http.parse_ranges(value, 100) == expected


@pytest.mark.parametrize(
    "value",
    ["bytes", "bytes=", "bytes=-", "bytes=a-b", "lines=1-2", "bytes=5-4", "bytes=" + "0-1," * 64 + "0-1"],
)
def test_what_is_no_range_is_refused(value: str) -> None:
    with pytest.raises(BadRequest):
        http.parse_ranges(value, 100)


@pytest.mark.parametrize("value", ["bytes=100-", "bytes=-0", "bytes=100-101,200-"])
def test_ranges_beyond_the_content_cannot_be_satisfied(value: str) -> None:
    with pytest.raises(RangeNotSatisfiable) as caught:
        http.parse_ranges(value, 100)
    assert caught.value.size == 100


def test_a_content_range_is_half_open_here() -> None:
    assert http.parse_content_range("bytes 10-19/100") == (10, 20, 100)


@pytest.mark.parametrize("value", ["", "bytes 10-9/100", "bytes 0-100/100", "bytes */100", "bytes 1-2/*"])
def test_a_content_range_that_makes_no_sense_is_the_peers_fault(value: str) -> None:
    with pytest.raises(PeerMisbehaved):
        http.parse_content_range(value)


def test_pieces_travel_as_runs() -> None:
    pieces = sets.of([0, 1, 2, 3, 7, 9, 10])
    assert http.format_pieces(pieces) == "0-3,7,9-10"
    assert http.parse_pieces("0-3,7,9-10", 11) == pieces


@pytest.mark.parametrize("value", ["", "x", "5-2", "99999999999-", "-3", "²", "12,"])
def test_hints_that_make_no_sense_say_nothing(value: str) -> None:
    assert http.parse_pieces(value, 10) == 0


@pytest.mark.parametrize(
    "head", [b"", b"GET", b"GET /", b"GET / HTTP/1.1\r\nno colon", b"GET / HTTP/1.1\r\n a: b"]
)
def test_heads_that_are_not_http_are_refused(head: bytes) -> None:
    with pytest.raises(BadRequest):
        http.parse_head(head)


def test_a_request_names_every_range_it_would_take() -> None:
    head = http.parse_head(http.format_request("h", "f" * 64, [(0, 5), (10, 20)], "me", sets.of([1]))[:-4])
    assert head.start == ("GET", "/pieces/" + "f" * 64, "HTTP/1.1")
    assert head.fields["range"] == "bytes=0-4,10-19"
    assert (head.fields["minga-peer"], head.fields["minga-have"]) == ("me", "1")


def test_a_request_names_its_trace_if_it_has_one() -> None:
    plain = http.format_request("h", "f" * 64, [], "me", 0)
    assert b"traceparent" not in plain.lower()
    head = http.parse_head(http.format_request("h", "f" * 64, [], "me", 0, "00-a-b-01")[:-4])
    assert head.fields["traceparent"] == "00-a-b-01"


def test_a_request_says_how_fast_pieces_come_if_that_is_known() -> None:
    plain = http.format_request("h", "f" * 64, [], "me", 0)
    assert b"minga-rate" not in plain.lower()
    head = http.parse_head(http.format_request("h", "f" * 64, [], "me", 0, rate=12_500_000)[:-4])
    assert head.fields[http.RATE] == "12500000"


def test_names_travel_as_they_are() -> None:
    assert http.parse_names(http.format_names(["node1", "n-2.example"])) == ("node1", "n-2.example")
    assert http.parse_names(" a ,, b,") == ("a", "b")
    assert len(http.parse_names("x," * 1000)) == http.MOST_NAMES
    assert http.parse_names("a b, ../c, d\r\ne, é, -f, g") == ("g",)


def test_of_a_partial_copy_only_verified_pieces_are_served() -> None:
    here = sets.of([1, 2])
    assert servable([(0, 10), (10, 30)], here, 10) == [(10, 30)]
    assert servable([(10, 40), (0, 5)], here, 10) == [(10, 30)]
    assert servable([(0, 30)], here, 10) == []
    assert servable([(15, 18)], here, 10) == [(15, 18)]
