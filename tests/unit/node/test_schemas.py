"""What REST answers with."""

from __future__ import annotations

from flask import Response

from minga_node.model import FileRow, Holder
from minga_node.server.schemas import FileOut, FilesOut, answer, encoded, files_out, plain


def test_a_list_without_models_is_what_the_models_say() -> None:
    holders = (Holder("one", complete=True, online=True), Holder("zwei-ü", complete=False, online=False))
    rows = [
        FileRow('a \u2028 "ü".bin', "a" * 64, 70_000_000, "text/plain", 1_700_000_000_123, holders),
        FileRow("empty", "b" * 64, 0, "application/octet-stream", 0, ()),
    ]
    sums = ["c" * 64, None]
    models = FilesOut(
        files=[FileOut.of(row, one) for row, one in zip(rows, sums, strict=True)], next_cursor="x"
    )
    known = {row.id: one for row, one in zip(rows, sums, strict=True) if one is not None}
    made: Response = plain(encoded({"files": files_out(rows, known), "next_cursor": "x"}))
    expected = answer(models)
    assert made.data == expected.data
    assert made.headers["Content-Type"] == expected.headers["Content-Type"]
