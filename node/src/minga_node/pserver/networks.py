"""Of which network a caller says it is, looked at before its message is parsed: a message of some megabytes
becomes a hundred of them in memory, and a stranger's is not worth that.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from minga_node.errors import Conflict
from minga_protos.v1 import index_pb2, membership_pb2

NAMED: tuple[Any, ...] = (
    membership_pb2.JoinRequest,
    index_pb2.ReconcileRequest,
    index_pb2.FetchRequest,
    index_pb2.PushRequest,
)
"""Requests whose first field is the network's name."""
_READERS = {message.FromString for message in NAMED}
_TAG = 1 << 3 | 2
"""The number of the field and its kind in one: field 1, of a length (protobuf's wire format)."""
LONGEST_NAME_BYTES = 128


def check(raw: bytes, parse: Callable[[bytes], Any], network: str | None) -> None:
    """Looks at what is to be parsed by ``parse``. Where the name does not come first, as all that write
    protobuf have it, it is for the service to look.

    Raises:
        Conflict: another network is named.
    """
    if (
        network is None
        or parse not in _READERS
        or len(raw) < 2
        or raw[0] != _TAG
        or raw[1] >= LONGEST_NAME_BYTES
    ):
        return
    named = raw[2 : 2 + raw[1]].decode(errors="replace")
    if named != network:
        raise Conflict(f"this is the network {network!r}, not {named!r}")
