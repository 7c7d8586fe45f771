"""Ranges by RFC 9110."""

from __future__ import annotations

import pytest
from werkzeug.http import http_date

from minga_node.errors import RangeNotSatisfiable
from minga_node.server.ranges import still_holds, wanted

ID = "a" * 64


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, None),
        ("bytes=0-0", (0, 1)),
        ("bytes=2-4", (2, 5)),
        ("bytes=9-", (9, 10)),
        ("bytes=5-99999999999999999999999999", (5, 10)),
        ("bytes=-3", (7, 10)),
        ("bytes=-10", (0, 10)),
        # Longer than the content: the whole, as readers of zip and parquet ask for the last bytes.
        ("bytes=-65536", (0, 10)),
        ("bytes=-99999999999999999999999999", (0, 10)),
        ("BYTES = 2 - 4", (2, 5)),
        ("bytes=,2-4,", (2, 5)),
        # Malformed or not ours: ignored.
        ("bytes=4-2", None),
        ("bytes=-", None),
        ("bytes=", None),
        ("bytes=a-b", None),
        ("bytes=1-2,4-5", None),
        ("bytes=²-3", None),
        ("pages=1-2", None),
    ],
)
def test_a_range_header_means(header: str | None, expected: tuple[int, int] | None) -> None:
    assert wanted(header, 10) == expected


@pytest.mark.parametrize("header", ["bytes=10-", "bytes=10-20", "bytes=-0", "bytes=99999999999999999999-"])
def test_a_range_without_a_byte_is_refused_with_the_size(header: str) -> None:
    with pytest.raises(RangeNotSatisfiable) as caught:
        wanted(header, 10)
    assert caught.value.size == 10


def test_the_last_bytes_of_an_empty_content_are_all_of_it() -> None:
    assert wanted("bytes=-5", 0) is None
    with pytest.raises(RangeNotSatisfiable):
        wanted("bytes=0-", 0)


@pytest.mark.parametrize(
    ("header", "holds"),
    [
        (None, True),
        (f'"{ID}"', True),
        (f'W/"{ID}"', False),
        ('"other"', False),
        (ID, False),
        (http_date(1_700_000_000), True),
        (http_date(1_700_000_001), False),
        (http_date(1_699_999_999), False),
        ("yesterday", False),
    ],
)
def test_if_range_takes_a_strong_tag_or_the_very_date(header: str | None, holds: bool) -> None:
    assert still_holds(header, ID, 1_700_000_000_500) is holds
