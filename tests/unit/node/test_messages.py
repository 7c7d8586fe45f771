"""Deltas as they travel: what is sent is what arrives, and columns that do not fit together are refused."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from minga_node.errors import PeerMisbehaved
from minga_node.index import Delta, Entry
from minga_node.pclient.messages import delta_from_message, delta_to_message
from minga_protos.v1 import index_pb2

DELTA = Delta("peer", 2**60, 7, 2**40, True, 3, [
    Entry(8, "Información.pdf", bytes(range(32)), 2**50, "application/pdf", -5, True),
    Entry(9, "gone", None),
    Entry(2**40, "part", bytes(32), 0, "", 2**41, False),
    Entry(2**40 + 1, "again", b"x" * 32, 1, "application/pdf", 0, True),
])  # fmt: skip


@pytest.mark.parametrize("delta", [DELTA, Delta("peer", 1, 4, 9, False, 0, [])], ids=["entries", "none"])
def test_a_delta_arrives_as_it_was_sent(delta: Delta) -> None:
    wire = delta_to_message(delta).SerializeToString()
    assert delta_from_message(index_pb2.Delta.FromString(wire)) == delta


def _append(message: index_pb2.Delta) -> None:
    message.names.append("one too many")


def _short_ids(message: index_pb2.Delta) -> None:
    message.content_ids = message.content_ids[:-1]


def _no_such_type(message: index_pb2.Delta) -> None:
    message.media[0] = 99


def _no_flags(message: index_pb2.Delta) -> None:
    message.flags = b""


@pytest.mark.parametrize("spoil", [_append, _short_ids, _no_such_type, _no_flags])
def test_columns_that_do_not_fit_together_are_refused(spoil: Callable[[index_pb2.Delta], None]) -> None:
    message = delta_to_message(DELTA)
    spoil(message)
    with pytest.raises(PeerMisbehaved, match="fit together"):
        delta_from_message(message)
